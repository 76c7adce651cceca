//! `/openapi.json` used by other people's tools: a fuzzer finds no answer that the document does not describe, and a
//! generated client works.

mod fuzzer;
mod generated_client;
mod tools;
