//! The operator on a real API server, one outcome per test. The tests share a cluster. Each test has its own namespace
//! and operator, which serves only the MessageBrokers of that namespace.

mod admission;
mod away;
mod brokers;
mod counts;
mod default_broker;
mod default_operator;
mod deletion;
mod names;
mod namespace;
mod not_served;
mod objects;
mod process;
mod ready;
mod refused;
mod reporting;
mod serves;
mod storage;
mod traffic;
mod two_operators;
mod uninstalled;
mod unreadable;
mod unsent;
mod unusable;
mod without_broker;
