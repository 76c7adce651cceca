//! One machine, several real programs: the broker, the client library and its command, Prometheus, curl.
//! Neither root nor Kubernetes.

mod broker;
mod cli;
mod content;
mod crash;
mod link;
mod programs;
mod prometheus;
mod readme;
mod receiver;
