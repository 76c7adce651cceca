//! `restante-broker check`: reports the content of a data folder and its damage.

use std::io::{self, Write};

use restante_wire::terminal::Form;

use super::{MaintenanceError, Verdict, report::Report, stdout, text, view::FolderView};
use crate::config::CheckArguments;

/// Inspects a data folder and prints a report.
pub(super) fn run(arguments: &CheckArguments) -> Result<Verdict, MaintenanceError> {
    let report = Report::of(&FolderView::of(&arguments.folder)?);
    let mut to = stdout(if arguments.json { Form::Json } else { Form::Lines });
    let written = if arguments.json {
        serde_json::to_writer_pretty(&mut to, &report).map_err(io::Error::from).and_then(|()| writeln!(to))
    } else {
        text::write(&report, &mut to)
    };
    written.and_then(|()| to.flush()).map_err(MaintenanceError::Output)?;
    Ok(if report.healthy { Verdict::Healthy } else { Verdict::Damaged })
}
