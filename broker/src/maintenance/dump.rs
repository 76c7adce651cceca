//! `restante-broker dump`: prints the messages or records of a data folder as JSON, one per line.

use std::io::{self, Write};

use restante_wire::terminal::Form;
use serde::Serialize;
use uuid::Uuid;

use super::{
    MaintenanceError, Verdict,
    message::DumpedMessage,
    say, stdout,
    view::{ChannelView, FolderView, kind},
};
use crate::{config::DumpArguments, log::Record};

/// A raw record and its place in the log.
#[derive(Serialize)]
struct RawRecord<'a> {
    file: String,
    offset: u64,
    frame: u64,
    kind: &'static str,
    /// The fields, in the debug format of the log's code; of headers and body only the length.
    record: &'a str,
    /// Bytes of content that are unreadable or damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable_bytes: Option<usize>,
}

/// Prints all readable messages or records, past any damage, and lists the damage on standard error.
pub(super) fn run(arguments: &DumpArguments) -> Result<Verdict, MaintenanceError> {
    let view = FolderView::of(&arguments.folder)?;
    let mut to = stdout(Form::Json);
    if arguments.records {
        write_records(&view, &mut to)?;
    } else {
        let channels = chosen(&view, arguments.channel.as_deref())?;
        channels.into_iter().try_for_each(|held| write_messages(&view, held, &mut to))?;
    }
    to.flush().map_err(MaintenanceError::Output)?;
    for damage in &view.damage {
        say(&format!("damaged: {} ({})", damage.line(), damage.means));
    }
    Ok(if view.damage.is_empty() { Verdict::Healthy } else { Verdict::Damaged })
}

fn chosen<'a>(view: &'a FolderView, channel: Option<&str>) -> Result<Vec<ChannelView<'a>>, MaintenanceError> {
    let channels = view.channels();
    let Some(channel) = channel else { return Ok(channels) };
    let name = |held: &ChannelView<'_>| (held.entry.config.qualified_name(), held.entry.config.uid);
    let names: Vec<_> = channels.iter().map(name).map(|(name, uid)| format!("{name} ({uid})")).collect();
    let uid = channel.parse::<Uuid>().ok();
    let is_chosen = |(name, other): (String, Uuid)| name == channel || Some(other) == uid;
    let chosen: Vec<_> = channels.into_iter().filter(|held| is_chosen(name(held))).collect();
    if chosen.is_empty() {
        return Err(MaintenanceError::UnknownChannel {
            folder: view.folder.path().display().to_string(),
            channel: channel.to_owned(),
            known: if names.is_empty() { "none".to_owned() } else { names.join(", ") },
        });
    }
    Ok(chosen)
}

fn write_messages(
    view: &FolderView,
    held: ChannelView<'_>,
    to: &mut impl Write,
) -> Result<(), MaintenanceError> {
    for (sequence, message) in held.messages() {
        let dumped = match view.unread(&message) {
            Some((id, why)) => DumpedMessage::unreadable(held, sequence, &message, id, why, view.past()),
            None => {
                let bytes = view.logs.read(message.stored.position)?;
                // The record was read a moment ago, and the lock keeps the folder unchanged.
                let Ok(record) = Record::decode(&bytes) else { continue };
                DumpedMessage::of(held, sequence, &message, &record, view.past())
            }
        };
        write_line(&dumped, to).map_err(MaintenanceError::Output)?;
    }
    Ok(())
}

fn write_records(view: &FolderView, to: &mut impl Write) -> Result<(), MaintenanceError> {
    let mut outcome = Ok(());
    view.logs.records(|seen, record| {
        if outcome.is_ok() {
            let raw = RawRecord {
                file: seen.file.to_owned(),
                offset: seen.offset,
                frame: seen.frame,
                kind: kind(record),
                record: &fields(record),
                unreadable_bytes: seen.unread,
            };
            outcome = write_line(&raw, to);
        }
    })?;
    outcome.map_err(MaintenanceError::Output)
}

fn write_line(line: &impl Serialize, to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    writeln!(to)
}

/// A record's fields without the content, which only its sender and receiver may read.
fn fields(record: &Record<'_>) -> String {
    match *record {
        Record::Message {
            targets,
            parcel,
            message_id,
            enqueued_ms,
            idempotency,
            due_ms,
            group,
            moved_from,
            headers,
            body,
        } => {
            format!(
                "{targets:?}, {parcel:?}, id {}, enqueued {enqueued_ms}, {idempotency:?}, due {due_ms:?}, group {group:?}, moved from \
                 {moved_from:?}, {} bytes of headers, {} bytes of body",
                Uuid::from_u128(message_id),
                headers.len(),
                body.len()
            )
        }
        ref other => format!("{other:?}"),
    }
}
