//! As much of ELF as tells whether a binary runs alone, and where.

use anyhow::{Context as _, Result, bail};

/// A program header that names the dynamic linker.
const PT_INTERP: u32 = 3;

/// Fails unless a binary is a 64-bit Linux program that needs no dynamic linker.
pub(crate) fn check_static(binary: &[u8]) -> Result<()> {
    architecture(binary)?;
    let start = usize::try_from(number::<8>(binary, 32)?)?;
    let size = usize::try_from(number::<2>(binary, 54)?)?;
    let count = usize::try_from(number::<2>(binary, 56)?)?;
    for index in 0..count {
        let header = size
            .checked_mul(index)
            .and_then(|offset| offset.checked_add(start))
            .context("the program headers lie outside of the file")?;
        if number::<4>(binary, header)? == u64::from(PT_INTERP) {
            bail!("it is linked dynamically");
        }
    }
    Ok(())
}

/// Returns the architecture of a binary, by the name that images use.
pub(crate) fn architecture(binary: &[u8]) -> Result<&'static str> {
    // Magic number, 64 bits, little endian.
    if !binary.starts_with(b"\x7fELF\x02\x01") {
        bail!("it is no 64-bit little-endian ELF file");
    }
    match number::<2>(binary, 18)? {
        62 => Ok("amd64"),
        183 => Ok("arm64"),
        243 => Ok("riscv64"),
        machine => bail!("its machine {machine} is not known"),
    }
}

/// Returns the little-endian number of `N` bytes at an offset.
fn number<const N: usize>(binary: &[u8], offset: usize) -> Result<u64> {
    let bytes = binary
        .get(offset..)
        .and_then(|rest| rest.first_chunk::<N>())
        .context("the file is cut off")?;
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(bytes);
    Ok(u64::from_le_bytes(wide))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An ELF file with one program header of a type, and no content.
    pub(crate) fn program(machine: u8, header: u8) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18] = machine;
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64] = header;
        file
    }

    #[test]
    fn a_program_with_a_dynamic_linker_is_refused() {
        assert_eq!(
            check_static(&program(62, 3)).unwrap_err().to_string(),
            "it is linked dynamically"
        );
        check_static(&program(62, 1)).unwrap();
    }

    #[test]
    fn the_machine_is_named_as_in_images() {
        assert_eq!(architecture(&program(62, 1)).unwrap(), "amd64");
        assert_eq!(architecture(&program(183, 1)).unwrap(), "arm64");
        assert!(architecture(&program(3, 1)).is_err());
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let mut far = program(62, 1);
        far[32..40].fill(0xff);
        let cut = program(62, 1)[..70].to_vec();
        for malformed in [
            Vec::new(),
            b"#!/bin/sh".to_vec(),
            far,
            cut[..50].to_vec(),
            cut[..66].to_vec(),
        ] {
            assert!(check_static(&malformed).is_err(), "{malformed:?}");
        }
    }
}
