//! A backup.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| restante_broker::fuzz::archive(bytes));
