//! Address, query, headers and body of a request.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| restante_broker::fuzz::request(bytes));
