//! A segment file of the log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| restante_broker::fuzz::segment(bytes));
