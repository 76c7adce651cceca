//! The chart: the effects of its values, and of installs, upgrades and uninstalls in a cluster.

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
