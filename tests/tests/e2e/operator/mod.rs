//! The operator on a real API server, one outcome a test. Each test has a namespace and an operator of its own, in a
//! cluster that all of them share: an operator serves the MessageBrokers of its namespace and leaves all others alone.

mod default_operator;
mod deletion;
mod neighbours;
mod objects;
mod process;
mod serves;
mod telling;
mod traffic;
mod unreadable;
