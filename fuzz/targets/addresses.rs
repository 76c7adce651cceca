//! A file of the address store.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| restante_broker::fuzz::addresses(bytes));
