//! A framed batch.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| restante_broker::fuzz::frames(bytes));
