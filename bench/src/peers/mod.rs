//! Other brokers to compare Restante with. A run starts and stops each as a process, on the same core as Restante and
//! with its data on the same disk.

pub(crate) mod beanstalkd;
pub(crate) mod nats;
pub(crate) mod rabbitmq;
pub(crate) mod redis;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

/// Folder of Debian's RabbitMQ programs.
const RABBITMQ: &str = "/usr/lib/rabbitmq";

/// The installed peers. `bench/install.sh` installs them.
pub(crate) struct Peers {
    pub(crate) nats: Option<PathBuf>,
    pub(crate) redis: Option<PathBuf>,
    /// The folder of the programs.
    pub(crate) rabbitmq: Option<PathBuf>,
    pub(crate) beanstalkd: Option<PathBuf>,
}

impl Peers {
    /// Finds the peers in the folders of a PATH.
    pub(crate) fn find(path: &str) -> Self {
        let find = |program: &str| {
            let mut folders = path.split(':').filter(|folder| !folder.is_empty());
            folders.find_map(|folder| Some(Path::new(folder).join(program)).filter(|path| path.is_file()))
        };
        Self {
            nats: find("nats-server"),
            redis: find("redis-server"),
            rabbitmq: Some(PathBuf::from(RABBITMQ))
                .filter(|folder| folder.join("bin/rabbitmq-server").is_file()),
            beanstalkd: find("beanstalkd"),
        }
    }

    /// The version of each peer; `None` for a missing one.
    pub(crate) fn versions(&self) -> BTreeMap<String, Option<String>> {
        let version_of = |program: &Option<PathBuf>, flag| {
            let answer = Command::new(program.as_ref()?).arg(flag).output().ok()?;
            version(&String::from_utf8_lossy(&answer.stdout))
        };
        [
            ("NATS", version_of(&self.nats, "--version")),
            ("Redis", version_of(&self.redis, "--version")),
            ("RabbitMQ", self.rabbitmq.as_deref().and_then(rabbitmq::version)),
            ("beanstalkd", version_of(&self.beanstalkd, "-v")),
        ]
        .into_iter()
        .map(|(name, version)| (name.to_owned(), version))
        .collect()
    }
}

/// The first version number in a text like `nats-server: v2.15.2` or `Redis server v=7.0.15 sha=00000000:0`.
fn version(text: &str) -> Option<String> {
    let mut words = text.split_whitespace().map(|word| word.trim_start_matches("v=").trim_start_matches('v'));
    words.find(|word| word.starts_with(|first: char| first.is_ascii_digit())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed_from_each_brokers_output() {
        let texts = [
            "nats-server: v2.15.2\n",
            "Redis server v=7.0.15 sha=00000000:0 malloc=j bits=64",
            "beanstalkd 1.12",
        ];
        let versions = texts.map(|text| version(text).unwrap());
        assert_eq!(versions, ["2.15.2", "7.0.15", "1.12"]);
        assert_eq!(version("what?"), None);
    }

    #[test]
    fn a_broker_outside_the_path_is_missing() {
        let peers = Peers::find("/nowhere:");
        assert!(peers.nats.is_none() && peers.redis.is_none() && peers.beanstalkd.is_none());
    }
}
