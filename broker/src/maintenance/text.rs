//! The report of an inspection as text.

use std::io::{self, Write};

use bytesize::ByteSize;

use super::report::{Channel, Deleted, NameFrom, Report, ReportedDamage};

/// Prints the report, and advice.
pub(super) fn write(report: &Report, to: &mut impl Write) -> io::Result<()> {
    let Report { folder, store_id, addresses, log, channels, damage, .. } = report;
    writeln!(to, "data folder {folder}")?;
    let store_id = store_id.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
    writeln!(to, "  store id   {store_id}")?;
    let (channels_count, orphans) = (addresses.channels as u64, addresses.orphans as u64);
    writeln!(to, "  addresses  {}, {}", count(channels_count, "channel"), count(orphans, "orphan"))?;
    for Deleted { channel, uid } in &addresses.deleted {
        writeln!(
            to,
            "             the log records that {channel} ({uid}) was deleted; the next start removes it from the addresses"
        )?;
    }
    if let Some(at) = addresses.cut_at {
        writeln!(
            to,
            "             addresses/journal is cut at {at}: a crash interrupted the write of a change"
        )?;
    }
    let bytes = log.segments.iter().map(|segment| segment.bytes).sum::<u64>() + log.spare_bytes;
    writeln!(
        to,
        "  log        {} in use, {} ready for use, {}; {}",
        count(log.segments.len() as u64, "segment"),
        log.spares,
        ByteSize(bytes),
        count(log.frames, "group commit")
    )?;
    let records: Vec<_> = log.records.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if !records.is_empty() {
        writeln!(to, "  records    {}", records.join(", "))?;
    }
    if log.unsynced_frames > 0 {
        writeln!(
            to,
            "  tail       {} of {} may be in memory only; the next start writes them again",
            count(log.unsynced_frames, "group commit"),
            ByteSize(log.unsynced_bytes)
        )?;
    }
    for cut in &log.cuts {
        writeln!(
            to,
            "  cut        {} at {}: a power cut tore the tail; {} after it, of {}, are void: nothing shows that they were on disk",
            cut.file,
            cut.offset,
            count(cut.void_frames, "group commit"),
            ByteSize(cut.bytes)
        )?;
    }
    writeln!(to)?;
    write_segments(report, to)?;
    write_channels(channels, to)?;
    for found in damage {
        write_damage(found, to)?;
    }
    if report.healthy {
        return writeln!(to, "healthy: nothing is damaged");
    }
    writeln!(to, "what can be done:")?;
    if damage.iter().all(|found| found.damage.is_of_content()) {
        return write_advice_on_contents(channels.iter().any(|channel| channel.unreadable > 0), to);
    }
    writeln!(to, "  keep a copy of this folder until everything is recovered")?;
    writeln!(to, "  restante-broker restore BACKUP NEW_DIR    the state of a backup, if you have one")?;
    writeln!(to, "  restante-broker salvage {folder} NEW_DIR    everything readable, in its latest state")?;
    writeln!(to, "  restante-broker dump {folder}    the readable messages as JSON, one per line")
}

/// Advice if only contents of messages are damaged. `of_messages`: some of them belong to remaining messages.
fn write_advice_on_contents(of_messages: bool, to: &mut impl Write) -> io::Result<()> {
    if of_messages {
        writeln!(
            to,
            "  start the broker: it delivers all other messages, and makes these dead letters at their next delivery"
        )?;
        writeln!(
            to,
            "  restante dead-letters redrive NAMESPACE/NAME    delivers them once they are readable again"
        )?;
        writeln!(to, "  restante dead-letters purge NAMESPACE/NAME    drops them")?;
    } else {
        writeln!(to, "  start the broker: the damage does not affect it")?;
    }
    writeln!(to, "  if the disk is failing, first run restante-broker salvage onto another disk")
}

fn write_segments(report: &Report, to: &mut impl Write) -> io::Result<()> {
    if report.log.segments.is_empty() {
        return Ok(());
    }
    let head = ["SEGMENT", "EPOCH", "FIRST FRAME", "FRAMES", "USED", "OF"].map(str::to_owned);
    let rows = report.log.segments.iter().map(|segment| {
        let sizes = [segment.used_bytes, segment.bytes].map(|bytes| ByteSize(bytes).to_string());
        let numbers = [segment.epoch, segment.first_frame, segment.frames].map(|number| number.to_string());
        [vec![segment.file.clone()], numbers.into(), sizes.into()].concat()
    });
    write_table(head.into(), rows, to)
}

fn write_channels(channels: &[Channel], to: &mut impl Write) -> io::Result<()> {
    if channels.is_empty() {
        return Ok(());
    }
    let head = ["CHANNEL", "ID", "READY", "LEASED", "DELAYED", "DEAD", "BYTES"].map(str::to_owned);
    let rows = channels.iter().map(|channel| {
        let name = match (channel.orphan, channel.name_from) {
            (_, NameFrom::Log) => format!("{} (orphan, known from the log)", channel.channel),
            (_, NameFrom::Nothing) => format!("{} (orphan, its name is lost)", channel.channel),
            (true, NameFrom::Addresses) => format!("{} (orphan)", channel.channel),
            (false, NameFrom::Addresses) => channel.channel.clone(),
        };
        let counts = [channel.ready, channel.leased, channel.delayed, channel.dead, channel.bytes];
        let counts = counts.map(|count| count.to_string());
        [vec![name, channel.id.clone()], counts.into()].concat()
    });
    write_table(head.into(), rows, to)
}

fn write_damage(found: &ReportedDamage, to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "DAMAGED {}", found.damage.line())?;
    if let Some(frames) = found.damage.frames {
        writeln!(to, "  lost     {}", count(frames, "group commit"))?;
    }
    writeln!(to, "  means    {}", found.damage.means)?;
    for savable in &found.savable {
        writeln!(
            to,
            "  savable  {}: {} from before it, {} from after it",
            savable.channel,
            count(savable.before, "message"),
            savable.after
        )?;
    }
    writeln!(to)
}

/// A number with its noun, in the plural unless the number is 1.
pub(super) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A table with columns as wide as their widest cell: names first, then numbers.
fn write_table(
    head: Vec<String>,
    rows: impl Iterator<Item = Vec<String>>,
    to: &mut impl Write,
) -> io::Result<()> {
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    for row in &rows {
        write!(to, "  {:<width$}", row[0], width = width(0))?;
        for (column, cell) in row.iter().enumerate().skip(1) {
            write!(to, "  {cell:>width$}", width = width(column))?;
        }
        writeln!(to)?;
    }
    writeln!(to)
}
