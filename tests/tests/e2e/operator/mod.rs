//! The operator on a real API server, one outcome a test. Each test has a namespace and an operator of its own, in a
//! cluster that all of them share: an operator serves the MessageBrokers of its namespace and leaves all others alone.

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
