//! The compression function of SHA-256 (FIPS 180-4, section 6.2.2) with the SHA instructions of
//! x86, for one message or for two at once.
//!
//! One message keeps the processor waiting: each instruction needs the result of the one before.
//! Two messages that have nothing to do with each other fill these waits, so that both take little
//! longer than one.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32,
};

use crate::sha256::{Block, State};

/// Stands for a processor that has the instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShaNi(());

impl ShaNi {
    /// Asks the processor.
    pub(crate) fn detect() -> Option<Self> {
        let is_there = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("sse4.1")
            && is_x86_feature_detected!("ssse3");
        is_there.then_some(Self(()))
    }

    /// Takes blocks into the states of so many messages, the same number into each: of longer
    /// lists, the blocks at the end are left out.
    #[expect(unsafe_code, reason = "only a caller knows what the processor can do")]
    pub(crate) fn compress<const N: usize>(self, states: [&mut State; N], blocks: [&[Block]; N]) {
        let Self(()) = self;
        // SAFETY: `self` exists only where the instructions do.
        unsafe { compress(states, blocks) }
    }
}

/// The constants of the rounds (section 4.2.2), four by four.
const ROUNDS: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// A state as the instructions want it: its words `a b e f` and `c d g h`.
#[derive(Clone, Copy)]
struct Halves {
    abef: __m128i,
    cdgh: __m128i,
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress<const N: usize>(states: [&mut State; N], blocks: [&[Block]; N]) {
    let mut halves = [Halves {
        abef: _mm_set_epi64x(0, 0),
        cdgh: _mm_set_epi64x(0, 0),
    }; N];
    for (halves, state) in halves.iter_mut().zip(&states) {
        *halves = split(state);
    }
    let count = blocks.iter().map(|blocks| blocks.len()).min();
    for index in 0..count.unwrap_or_default() {
        let before = halves;
        let mut words = [[_mm_set_epi64x(0, 0); 4]; N];
        for (words, blocks) in words.iter_mut().zip(&blocks) {
            *words = load(&blocks[index]);
        }
        rounds::<N, 0>(&mut halves, &words, 0);
        rounds::<N, 1>(&mut halves, &words, 0);
        rounds::<N, 2>(&mut halves, &words, 0);
        rounds::<N, 3>(&mut halves, &words, 0);
        for done in [4, 8, 12] {
            schedule::<N, 0>(&mut words);
            rounds::<N, 0>(&mut halves, &words, done);
            schedule::<N, 1>(&mut words);
            rounds::<N, 1>(&mut halves, &words, done);
            schedule::<N, 2>(&mut words);
            rounds::<N, 2>(&mut halves, &words, done);
            schedule::<N, 3>(&mut words);
            rounds::<N, 3>(&mut halves, &words, done);
        }
        for (halves, before) in halves.iter_mut().zip(before) {
            halves.abef = _mm_add_epi32(halves.abef, before.abef);
            halves.cdgh = _mm_add_epi32(halves.cdgh, before.cdgh);
        }
    }
    for (state, halves) in states.into_iter().zip(halves) {
        *state = join(halves);
    }
}

/// Does four rounds with each message, of which `done` times four rounds are done.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn rounds<const N: usize, const QUARTER: usize>(
    halves: &mut [Halves; N],
    words: &[[__m128i; 4]; N],
    done: usize,
) {
    let [first, second, third, fourth] = ROUNDS[done + QUARTER].map(u32::cast_signed);
    let constants = _mm_set_epi32(fourth, third, second, first);
    for lane in 0..N {
        let Halves { abef, cdgh } = halves[lane];
        let sum = _mm_add_epi32(words[lane][QUARTER], constants);
        let next = _mm_sha256rnds2_epu32(cdgh, abef, sum);
        let rest = _mm_shuffle_epi32(sum, 0b00_00_11_10);
        halves[lane] = Halves {
            abef: _mm_sha256rnds2_epu32(abef, next, rest),
            cdgh: next,
        };
    }
}

/// Replaces a quarter of the last sixteen words of each message's schedule, the oldest, by the next
/// four.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn schedule<const N: usize, const OLDEST: usize>(words: &mut [[__m128i; 4]; N]) {
    for words in words {
        let [first, second, third, fourth] = [
            words[OLDEST],
            words[(OLDEST + 1) % 4],
            words[(OLDEST + 2) % 4],
            words[(OLDEST + 3) % 4],
        ];
        let sum = _mm_sha256msg1_epu32(first, second);
        let sum = _mm_add_epi32(sum, _mm_alignr_epi8(fourth, third, 4));
        words[OLDEST] = _mm_sha256msg2_epu32(sum, fourth);
    }
}

/// Reads the words of a block, which are big-endian.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn load(block: &Block) -> [__m128i; 4] {
    let mut words = [_mm_set_epi64x(0, 0); 4];
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let (halves, _) = block.as_chunks::<8>();
    for (words, at) in words.iter_mut().zip([0, 2, 4, 6]) {
        let [low, high] = [halves[at], halves[at + 1]].map(i64::from_le_bytes);
        *words = _mm_shuffle_epi8(_mm_set_epi64x(high, low), swap);
    }
    words
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn split(state: &State) -> Halves {
    let words = state.map(u32::cast_signed);
    Halves {
        abef: _mm_set_epi32(words[0], words[1], words[4], words[5]),
        cdgh: _mm_set_epi32(words[2], words[3], words[6], words[7]),
    }
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn join(halves: Halves) -> State {
    let Halves { abef, cdgh } = halves;
    [
        _mm_extract_epi32::<3>(abef),
        _mm_extract_epi32::<2>(abef),
        _mm_extract_epi32::<3>(cdgh),
        _mm_extract_epi32::<2>(cdgh),
        _mm_extract_epi32::<1>(abef),
        _mm_extract_epi32::<0>(abef),
        _mm_extract_epi32::<1>(cdgh),
        _mm_extract_epi32::<0>(cdgh),
    ]
    .map(i32::cast_unsigned)
}
