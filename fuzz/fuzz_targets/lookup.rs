#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ocm_fuzz::oci::lookup(bytes));
