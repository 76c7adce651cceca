//! What strangers do with `/openapi.json`: a fuzzer that reads it finds no answer that it does not describe, and a client
//! that is generated from it works.

mod fuzzer;
mod generated_client;
mod tools;
