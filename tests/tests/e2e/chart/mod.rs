//! The chart: what its values come to, and what becomes of a cluster that it is installed in, upgraded in and taken out of.

mod access;
mod documents;
mod lifecycle;
mod messages;
mod names;
mod notes;
mod release;
mod rendered;
mod rendering;
mod two_releases;
mod uninstall;
mod users;
mod values;
