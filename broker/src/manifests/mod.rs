//! Channels from manifest files, for a broker without Kubernetes: the same YAML as for `kubectl apply`, checked by the
//! same schema and rules.

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

/// A channel and its place in the manifests.
struct PlacedChannel {
    config: ChannelConfig,
    file: PathBuf,
    line: u64,
}

/// Reads every channel from a file, or from the `.yaml` and `.yml` files of a folder. Subfolders are not entered, and
/// hidden files are skipped.
///
/// All or nothing: with one fault anywhere, no channel is returned, so that a typing mistake removes no channel. The
/// error has every fault that can be found.
pub fn load(path: &Path) -> Result<Vec<ChannelConfig>, ManifestError> {
    let files = files::list(path)?;
    if files.is_empty() {
        tracing::warn!(path = %path.display(), "no .yaml or .yml file found: the broker has no channels");
    }
    let mut channels = Vec::new();
    let mut faults = Vec::new();
    for file in files {
        let text = files::read(&file)?;
        match manifest::parse(&text) {
            Ok(documents) => {
                for document in documents {
                    add_document(&file, document, &mut channels, &mut faults);
                }
            }
            Err(errors) => faults.extend(errors.into_iter().map(|error| Fault::new(&file, error))),
        }
    }
    if faults.is_empty() {
        faults = conflicts(&channels);
    }
    if faults.is_empty() {
        faults = cycles(&channels);
    }
    if !faults.is_empty() {
        return Err(ManifestError::Invalid(faults));
    }
    Ok(channels.into_iter().map(|one| one.config).collect())
}

fn add_document(
    file: &Path,
    document: manifest::Document,
    channels: &mut Vec<PlacedChannel>,
    faults: &mut Vec<Fault>,
) {
    let manifest::Document { line, manifest } = document;
    match manifest {
        Manifest::Channel(channel) => match compile(&channel) {
            Ok(config) => channels.push(PlacedChannel { config, file: file.to_owned(), line }),
            Err(error) => faults.push(Fault::at(file, line, error.to_string())),
        },
        Manifest::Broker(name) => {
            tracing::info!(%name, file = %file.display(), line, "ignored a MessageBroker: flags configure this broker");
        }
    }
}

fn claims(channels: &[PlacedChannel]) -> Vec<Claim<'_>> {
    channels.iter().map(|one| Claim { config: &one.config, created: None }).collect()
}

/// Channels that claim a name, source or destination of an earlier channel. In Kubernetes the older object would win;
/// files have no age, so a person must decide.
fn conflicts(channels: &[PlacedChannel]) -> Vec<Fault> {
    let verdicts = conflicts::resolve(&claims(channels));
    let lost = channels.iter().zip(verdicts).filter_map(|(loser, verdict)| Some((loser, verdict?)));
    lost.map(|(loser, conflict)| {
        let is_winner = |one: &&PlacedChannel| {
            !std::ptr::eq(*one, loser) && one.config.qualified_name() == conflict.winner
        };
        let winner = channels.iter().find(is_winner);
        let place =
            winner.map_or_else(String::new, |one| format!(" in {}, line {}", one.file.display(), one.line));
        let (reason, claimed, name) =
            (conflict.reason.as_str(), conflict.claimed, loser.config.qualified_name());
        let winner = conflict.winner;
        let message = match conflict.reason {
            ConflictReason::NameTaken => {
                format!("{reason}: another channel has the name {name}{place}: rename one of them")
            }
            ConflictReason::SourceTaken => format!(
                "{reason}: {claimed} is the source of {name} and of {winner}{place}: change one of them"
            ),
            ConflictReason::DestinationTaken => format!(
                "{reason}: {claimed} is a destination of {name} and of {winner}{place}: change one of them, or set \
                 spec.sharedDestination in both"
            ),
            ConflictReason::DestinationFull => format!(
                "{reason}: {claimed}, a destination of {name}, is already shared by the maximum of channels, among \
                 them {winner}{place}: change one of them"
            ),
        };
        Fault::at(&loser.file, loser.line, message)
    })
    .collect()
}

/// Channels whose dead letters would return to them. A dead-letter channel that is missing is only logged: the dead
/// letters stay in their channel, and the broker starts.
fn cycles(channels: &[PlacedChannel]) -> Vec<Fault> {
    let found = channels.iter().zip(dead_letters::check(&claims(channels)));
    let mut cycles = Vec::new();
    for (one, fault) in found.filter_map(|(one, fault)| Some((one, fault?))) {
        let (reason, name) = (fault.reason(), one.config.qualified_name());
        match &fault {
            DeadLetterFault::Cycle(target) => {
                let message = format!(
                    "{reason}: dead letters of {name} that go to {target} would return to it: name another channel \
                     in spec.deadLetter.channelRef, or none"
                );
                cycles.push(Fault::at(&one.file, one.line, message));
            }
            DeadLetterFault::NotFound(_) | DeadLetterFault::Closing(_) => {
                tracing::warn!(file = %one.file.display(), line = one.line, "{reason}: {name}: {fault}");
            }
        }
    }
    cycles
}
