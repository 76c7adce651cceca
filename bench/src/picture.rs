//! Draws the picture in the README: each row's result against its goal, from results.json.
//!
//! Results have many units, so a bar shows the reached part of the goal. The line in the middle is the goal, for goals
//! where more is better and for goals where less is better. The SVG is written by hand, because chart libraries bring
//! their own fonts and background, and this picture must be readable in light and dark mode.

use std::fmt::{self, Write};

use crate::{
    report::{row::Row, table::figure},
    statistics::Spread,
};

/// Sizes of the picture, in pixels.
const WIDTH: f64 = 1060.0;
const HEAD: f64 = 58.0;
const FOOT: f64 = 34.0;
const LINE: f64 = 27.0;
const BAR: f64 = 13.0;
/// Horizontal positions: end of the names, begin and end of the bars, end of the figures.
const NAMES: f64 = 530.0;
const BARS: (f64, f64) = (546.0, 846.0);
const FIGURES: f64 = 936.0;
/// A bar is cut at this multiple of its goal.
const MOST: f64 = 2.0;

const STYLE: &str = "
text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2933 }
.title { font-size: 16px; font-weight: 600 }
.quiet { fill: #66737f }
.figure { font-weight: 600; font-variant-numeric: tabular-nums }
.end { text-anchor: end }
.middle { text-anchor: middle }
.track { fill: #8796a5; fill-opacity: .13 }
.reached { fill: #14876c }
.missed { fill: #d98a1f }
.goal { stroke: #1f2933; stroke-width: 1.5 }
.stretch { stroke: #66737f; stroke-width: 1.5; stroke-dasharray: 2 2 }
.spread { stroke: #1f2933; stroke-opacity: .55; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e4e9ee }
.quiet { fill: #94a1ad }
.reached { fill: #35b894 }
.missed { fill: #eda53f }
.goal { stroke: #e4e9ee }
.stretch { stroke: #94a1ad }
.spread { stroke: #e4e9ee }
}
";

/// Draws all rows that have a goal.
pub(crate) fn draw(rows: &[Row], machine: &str) -> Result<String, fmt::Error> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.goal.goal.is_some()).collect();
    let (bottom, middle) = (HEAD + LINE * rows.len() as f64, place(1.0));
    let height = bottom + FOOT;
    let mut svg = String::new();
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} \
         {height}\" role=\"img\" aria-label=\"Each figure of the benchmark against its goal\">"
    )?;
    writeln!(svg, "<style>{STYLE}</style>")?;
    writeln!(svg, "<text class=\"title\" x=\"14\" y=\"26\">Restante, measured against its goals</text>")?;
    writeln!(svg, "<text class=\"quiet middle\" x=\"{middle}\" y=\"{}\">goal</text>", HEAD - 10.0)?;
    writeln!(svg, "<text class=\"quiet end\" x=\"{FIGURES}\" y=\"{}\">measured</text>", HEAD - 10.0)?;
    writeln!(svg, "<text class=\"quiet end\" x=\"{}\" y=\"{}\">goal</text>", WIDTH - 14.0, HEAD - 10.0)?;
    for (number, row) in rows.iter().enumerate() {
        line(&mut svg, row, HEAD + LINE * number as f64)?;
    }
    let top = HEAD - 2.0;
    writeln!(svg, "<line class=\"goal\" x1=\"{middle}\" y1=\"{top}\" x2=\"{middle}\" y2=\"{bottom}\"/>")?;
    writeln!(svg, "<text class=\"quiet\" x=\"14\" y=\"{}\">{}</text>", bottom + 22.0, escaped(machine))?;
    writeln!(svg, "</svg>")?;
    Ok(svg)
}

fn line(svg: &mut String, row: &Row, top: f64) -> fmt::Result {
    let (text, bar) = (top + LINE / 2.0 + 4.5, top + (LINE - BAR) / 2.0);
    let width = BARS.1 - BARS.0;
    writeln!(svg, "<text class=\"end\" x=\"{NAMES}\" y=\"{text}\">{}</text>", escaped(&row.name))?;
    let rect = |class: &str, width: f64| {
        format!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{bar}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>",
            BARS.0
        )
    };
    writeln!(svg, "{}", rect("track", width))?;
    match row.ratio {
        Some(figure) => {
            let part = reached(row, figure);
            writeln!(svg, "{}", rect(row.verdict(), place(part) - BARS.0))?;
            if let Some(Spread { min, max, .. }) = row.spread {
                let (y, [from, to]) = (bar + BAR / 2.0, [min, max].map(|figure| place(reached(row, figure))));
                writeln!(
                    svg,
                    "<line class=\"spread\" x1=\"{from:.1}\" y1=\"{y}\" x2=\"{to:.1}\" y2=\"{y}\"/>"
                )?;
            }
        }
        None => {
            let x = BARS.0 + 6.0;
            writeln!(svg, "<text class=\"quiet\" x=\"{x}\" y=\"{text}\">{}</text>", row.verdict())?;
        }
    }
    if let Some(stretch) = row.goal.stretch.map(|stretch| reached(row, stretch)).filter(|part| *part < MOST) {
        let (x, end) = (place(stretch), bar + BAR + 2.0);
        writeln!(
            svg,
            "<line class=\"stretch\" x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{end}\"/>",
            bar - 2.0
        )?;
    }
    let sign = if row.goal.less_is_better { "≤" } else { "≥" };
    let measured = row.ratio.map_or("–".to_owned(), |ratio| figure(Some(ratio)));
    let goal = row.goal.goal.map(|goal| goal.to_string()).unwrap_or_default();
    // Without another server, the figure is not a ratio and has a unit.
    let unit = if row.other.is_some() || row.unit.len() > UNIT_MAX { "" } else { &row.unit };
    writeln!(svg, "<text class=\"figure end\" x=\"{FIGURES}\" y=\"{text}\">{measured}</text>")?;
    let goal = escaped(&format!("{sign} {goal} {unit}"));
    writeln!(svg, "<text class=\"quiet end\" x=\"{}\" y=\"{text}\">{}</text>", WIDTH - 14.0, goal.trim_end())
}

/// A longer unit does not fit and is left out.
const UNIT_MAX: usize = 8;

/// Part of its goal that a figure reaches; 1 is the goal, in both directions.
fn reached(row: &Row, figure: f64) -> f64 {
    let goal = row.goal.goal.unwrap_or(f64::NAN);
    if row.goal.less_is_better { goal / figure } else { figure / goal }
}

fn place(part: f64) -> f64 {
    BARS.0 + (BARS.1 - BARS.0) * part.clamp(0.0, MOST) / MOST
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::Goal;

    #[test]
    fn a_bar_ends_in_the_middle_if_its_goal_is_exactly_reached() {
        let more = Row::measured("m", Goal::at_least(5.0, 6.0), "GB/s", [5.0]);
        let less = Row::measured("l", Goal::at_most(8.0, 4.0), "KiB", [8.0]);
        assert_eq!((reached(&more, 5.0), reached(&less, 8.0)), (1.0, 1.0));
        assert_eq!((reached(&more, 2.5), reached(&less, 16.0)), (0.5, 0.5));
        assert_eq!(place(1.0), f64::midpoint(BARS.0, BARS.1));
        assert_eq!(place(40.0), BARS.1);
    }

    #[test]
    fn every_row_with_a_goal_is_drawn_even_if_it_was_not_measured() {
        let rows = [
            Row::measured("memory <of> it", Goal::at_most(8.0, 1.0), "KiB", [28.8]),
            Row::missing("push ÷ NATS", Goal::at_least(15.0, 23.0), "NATS"),
            Row::measured("without a goal", Goal::none(true), "bytes", [3.0]),
        ];
        let svg = draw(&rows, "a machine & a disk").unwrap();
        for text in
            ["memory &lt;of&gt; it", "28.8", "≤ 8 KiB", "class=\"missed\"", ">missing<", "machine &amp; a"]
        {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        assert!(!svg.contains("without a goal"));
    }
}
