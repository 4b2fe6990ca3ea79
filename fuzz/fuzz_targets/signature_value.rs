#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ocm_fuzz::signing::signature_value(bytes));
