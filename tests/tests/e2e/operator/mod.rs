//! The operator on a real API server, one outcome a test. Each test has a namespace and an operator of its own, in a
//! cluster that all of them share: an operator serves the MessageBrokers of its namespace and leaves all others alone.

mod admission;
mod away;
mod brokers;
mod counts;
mod default_broker;
mod default_operator;
mod deletion;
mod leaving;
mod names;
mod namespace;
mod neighbours;
mod not_served;
mod objects;
mod process;
mod ready;
mod refused;
mod serves;
mod storage;
mod telling;
mod traffic;
mod unreadable;
mod unsent;
mod unusable;
mod without_broker;
