//! Channels from manifest files, for a broker without Kubernetes: the very YAML that `kubectl apply` takes, checked by
//! the same schema and rules.

mod error;
mod files;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use restante_crds::{
    compile,
    conflicts::{self, Claim, ConflictReason},
    dead_letters::{self, DeadLetterFault},
    manifest::{self, Manifest},
};
use restante_wire::ChannelConfig;

pub use error::{Fault, ManifestError};

/// A channel and where it was said.
struct Said {
    config: ChannelConfig,
    file: PathBuf,
    line: u64,
}

/// Reads every channel from a file, or from the `.yaml` and `.yml` files of a folder; folders in it are not entered, and names
/// that begin with a dot are passed over.
///
/// It is all or nothing: one fault anywhere and there is no set, so that a slip of the pen takes no channel away. Every
/// fault that can be told is in the error.
pub fn load(path: &Path) -> Result<Vec<ChannelConfig>, ManifestError> {
    let files = files::list(path)?;
    if files.is_empty() {
        tracing::warn!(path = %path.display(), "no .yaml or .yml file there: the broker has no channels");
    }
    let mut said = Vec::new();
    let mut faults = Vec::new();
    for file in files {
        let text = files::read(&file)?;
        match manifest::parse(&text) {
            Ok(documents) => {
                for document in documents {
                    take(&file, document, &mut said, &mut faults);
                }
            }
            Err(errors) => faults.extend(errors.into_iter().map(|error| Fault::new(&file, error))),
        }
    }
    if faults.is_empty() {
        faults = conflicts(&said);
    }
    if faults.is_empty() {
        faults = circles(&said);
    }
    if !faults.is_empty() {
        return Err(ManifestError::Invalid(faults));
    }
    Ok(said.into_iter().map(|one| one.config).collect())
}

/// Takes one document of a file.
fn take(file: &Path, document: manifest::Document, said: &mut Vec<Said>, faults: &mut Vec<Fault>) {
    let manifest::Document { line, manifest } = document;
    match manifest {
        Manifest::Channel(channel) => match compile(&channel) {
            Ok(config) => said.push(Said { config, file: file.to_owned(), line }),
            Err(error) => faults.push(Fault::at(file, line, error.to_string())),
        },
        Manifest::Broker(name) => {
            tracing::info!(%name, file = %file.display(), line, "ignored a MessageBroker: this broker is told by its flags");
        }
    }
}

fn claims(said: &[Said]) -> Vec<Claim<'_>> {
    said.iter().map(|one| Claim { config: &one.config, created: None }).collect()
}

/// Channels that claim what an earlier one has. In Kubernetes the older one would win; files have no age, so somebody
/// has to decide.
fn conflicts(said: &[Said]) -> Vec<Fault> {
    let verdicts = conflicts::judge(&claims(said));
    let lost = said.iter().zip(verdicts).filter_map(|(loser, verdict)| Some((loser, verdict?)));
    lost.map(|(loser, conflict)| {
        let is_winner =
            |one: &&Said| !std::ptr::eq(*one, loser) && one.config.qualified_name() == conflict.winner;
        let winner = said.iter().find(is_winner);
        let place =
            winner.map_or_else(String::new, |one| format!(" in {}, line {}", one.file.display(), one.line));
        let (state, remedy) = match conflict.reason {
            ConflictReason::NameTaken | ConflictReason::SourceTaken => ("taken by", "change one of them"),
            ConflictReason::DestinationTaken => {
                ("taken by", "change one of them, or set spec.sharedDestination in both")
            }
            ConflictReason::DestinationFull => {
                ("shared by as many channels as may share one, such as", "change one of them")
            }
        };
        let message = format!(
            "{}: {} of {} is {state} {}{place}: {remedy}",
            conflict.reason.as_str(),
            conflict.what,
            loser.config.qualified_name(),
            conflict.winner,
        );
        Fault::at(&loser.file, loser.line, message)
    })
    .collect()
}

/// Channels whose dead letters would come back to them. Where there is only nobody to take dead letters, they stay in
/// their channel: that is logged, and keeps no broker from starting.
fn circles(said: &[Said]) -> Vec<Fault> {
    let found = said.iter().zip(dead_letters::judge(&claims(said)));
    let mut circles = Vec::new();
    for (one, fault) in found.filter_map(|(one, fault)| Some((one, fault?))) {
        let (reason, name) = (fault.reason(), one.config.qualified_name());
        match &fault {
            DeadLetterFault::Cycle(target) => {
                let message = format!(
                    "{reason}: dead letters of {name} that go to {target} would come back to it: name another channel \
                     in spec.deadLetter.channelRef, or none"
                );
                circles.push(Fault::at(&one.file, one.line, message));
            }
            DeadLetterFault::NotFound(_) | DeadLetterFault::Closing(_) => {
                tracing::warn!(file = %one.file.display(), line = one.line, "{reason}: {name}: {fault}");
            }
        }
    }
    circles
}
