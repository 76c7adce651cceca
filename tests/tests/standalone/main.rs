//! One machine, several real programs: the broker, the client library and its command, Prometheus, curl.
//! No Kubernetes; root for a disk of the test's own only.

mod broker;
mod cli;
mod content;
mod crash;
mod full_disk;
mod link;
mod openapi;
mod parked;
mod programs;
mod prometheus;
mod readme;
mod receiver;
