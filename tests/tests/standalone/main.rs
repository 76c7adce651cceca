//! Tests of several real programs on one machine: the broker, the client library and its command, Prometheus, nginx,
//! curl. They need no Kubernetes. Only tests with a disk or a process namespace of their own need root.

mod api;
mod broker;
mod cli;
mod content;
mod crash;
mod dead_letters;
mod drain;
mod first_process;
mod forwarder;
mod full_disk;
mod link;
mod mixed;
mod nginx;
mod openapi;
mod parked;
mod programs;
mod prometheus;
mod readme;
mod receiver;
mod request_reply;
mod shutdown;
mod workers;
