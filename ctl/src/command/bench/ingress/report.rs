//! What the rounds come to, and whether it is good enough.

use serde::Serialize;

use super::contender::Figures;
use crate::table::Table;

/// What the ingress may cost beside the bare loop, in hundredths: all that it does beyond it
/// (limits, schema, memory of events, reading the topic back, metrics) for six tenths more.
const CPU_RATIO_MAX: u64 = 160;
const THROUGHPUT_RATIO_MIN: u64 = 65;
const P99_RATIO_MAX: u64 = 200;

/// Half of all answers come within a millisecond.
const P50_US_MAX: u64 = 1_000;

/// Memory at 256 connections, beside what each remembered id takes.
const RESIDENT_KIB_MAX: u64 = 60 * 1024;

/// Bytes of a remembered id.
const ID_BYTES: u64 = 27;

/// How much dearer ten million ids may make a request, in hundredths of the same ratio without them:
/// what a round differs from the next anyway.
const REMEMBERING_MAX: u64 = 115;

/// Rounds of two servers, taken in turns.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    pub(super) ours: Vec<Figures>,
    pub(super) bare: Vec<Figures>,
}

impl Rounds {
    fn median(figures: &[Figures], of: impl Fn(&Figures) -> u64) -> u64 {
        median(figures.iter().map(of).collect())
    }

    /// The median of the rounds' ratios, in hundredths.
    fn ratio(&self, of: impl Fn(&Figures) -> u64) -> u64 {
        let pairs = self.ours.iter().zip(&self.bare);
        median(pairs.map(|(ours, bare)| hundredths(of(ours), of(bare))).collect())
    }

    fn line(&self, what: &'static str, of: impl Fn(&Figures) -> u64) -> Line {
        let (ours, bare) = (Self::median(&self.ours, &of), Self::median(&self.bare, &of));
        Line { what, ours, bare, ratio: self.ratio(of), floor: None }
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn hundredths(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100) / whole.max(1)
}

/// One figure of both.
#[derive(Debug, Serialize)]
struct Line {
    what: &'static str,
    ours: u64,
    bare: u64,
    /// Ours to the bare loop's, hundredths.
    ratio: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<Floor>,
}

/// What a figure must keep to.
#[derive(Debug, Serialize)]
struct Floor {
    expected: String,
    holds: bool,
}

impl Line {
    fn holds(mut self, holds: bool, expected: String) -> Self {
        self.floor = Some(Floor { expected, holds });
        self
    }

    fn at_most(self, ratio: u64) -> Self {
        let holds = self.ratio <= ratio;
        self.holds(holds, format!("at most {}", times(ratio)))
    }
}

/// What `bankstream bench ingress` says.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    lines: Vec<Line>,
    /// Ids that the ingress remembered beside those of the rounds, and what a request then cost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remembering: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remembered: Option<u64>,
}

impl Report {
    /// The report on rounds and on memory, which is in KiB, ours first; `ids` is how many the ingress
    /// remembered by then.
    pub(super) fn new(rounds: &Rounds, resident: [u64; 2], ids: u64) -> Self {
        let [ours, bare] = resident;
        let most = RESIDENT_KIB_MAX.saturating_add(ids.saturating_mul(ID_BYTES) / 1024);
        let resident = Line {
            what: "resident memory at 256 connections, KiB",
            ours,
            bare,
            ratio: hundredths(ours, bare),
            floor: None,
        };
        let throughput = rounds.line("requests a second, 64 connections", |it| it.per_second);
        let is_enough = throughput.ratio >= THROUGHPUT_RATIO_MIN;
        let p50 = rounds.line("p50 at 1000/s, us", |it| it.p50_us);
        let is_quick = p50.ours < P50_US_MAX;
        let lines = vec![
            throughput.holds(is_enough, format!("at least {}", times(THROUGHPUT_RATIO_MIN))),
            rounds.line("CPU of 10 000 requests, us", |it| it.cpu_us).at_most(CPU_RATIO_MAX),
            p50.holds(is_quick, format!("below {P50_US_MAX}")),
            rounds.line("p99 at 1000/s, us", |it| it.p99_us).at_most(P99_RATIO_MAX),
            rounds.line("p99.9 at 1000/s, us", |it| it.p999_us),
            rounds.line("CPU of 10 000 requests at 1000/s, us", |it| it.open_cpu_us),
            resident.holds(ours < most, format!("below {most} ({ids} ids remembered)")),
        ];
        Self { lines, remembering: Vec::new(), remembered: None }
    }

    /// Adds rounds of an ingress that remembers so many ids more; `plain` are those of one that does
    /// not.
    pub(super) fn remembering(&mut self, plain: &Rounds, rounds: &Rounds, ids: u64) {
        let cpu = |it: &Figures| it.cpu_us;
        let per_second = |it: &Figures| it.per_second;
        let most = plain.ratio(cpu).saturating_mul(REMEMBERING_MAX) / 100;
        let least = hundredths(plain.ratio(per_second), REMEMBERING_MAX);
        let throughput = rounds.line("requests a second, 64 connections", per_second);
        let is_enough = throughput.ratio >= least;
        self.remembered = Some(ids);
        self.remembering = vec![
            throughput.holds(is_enough, format!("at least {}", times(least))),
            rounds.line("CPU of 10 000 requests, us", cpu).at_most(most),
            rounds.line("p50 at 1000/s, us", |it| it.p50_us),
            rounds.line("p99 at 1000/s, us", |it| it.p99_us),
        ];
    }

    /// Whether every floor holds.
    pub(super) fn holds(&self) -> bool {
        let floors = self.lines.iter().chain(&self.remembering);
        floors.filter_map(|line| line.floor.as_ref()).all(|floor| floor.holds)
    }

    /// The report for a person.
    pub(super) fn text(&self) -> String {
        let mut text = show(&self.lines);
        if let Some(ids) = self.remembered {
            let more = show(&self.remembering);
            text = format!("{text}\n\nremembering {ids} ids more:\n\n{more}");
        }
        text
    }
}

fn times(hundredths: u64) -> String {
    format!("{}.{:02}x", hundredths / 100, hundredths % 100)
}

fn show(lines: &[Line]) -> String {
    let mut table = Table::new(&["", "ingress", "bare loop", "ratio", "expected", ""]);
    for line in lines {
        let (expected, verdict) = match &line.floor {
            None => ("", ""),
            Some(floor) => (&*floor.expected, if floor.holds { "holds" } else { "BROKEN" }),
        };
        let (ours, bare, ratio) = (line.ours.to_string(), line.bare.to_string(), times(line.ratio));
        table.row(&[line.what, &ours, &bare, &ratio, expected, verdict]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(ours: &[[u64; 4]], bare: &[[u64; 4]]) -> Rounds {
        let figures = |rounds: &[[u64; 4]]| {
            let of = |[per_second, cpu_us, p50_us, p99_us]: &[u64; 4]| Figures {
                per_second: *per_second,
                cpu_us: *cpu_us,
                p50_us: *p50_us,
                p99_us: *p99_us,
                ..Figures::default()
            };
            rounds.iter().map(of).collect()
        };
        Rounds { ours: figures(ours), bare: figures(bare) }
    }

    #[track_caller]
    fn check(ours: [u64; 4], resident_kib: u64, expect: &[&str]) {
        let bare = [1000, 100, 400, 500];
        let report = Report::new(&rounds(&[ours], &[bare]), [resident_kib, 10_000], 1_000_000);
        let broken = report.lines.iter().filter(|it| it.floor.as_ref().is_some_and(|it| !it.holds));
        assert_eq!(broken.map(|line| line.what).collect::<Vec<_>>(), expect);
        assert_eq!(report.holds(), expect.is_empty());
    }

    #[test]
    fn floors_hold_up_to_their_edge() {
        check([650, 160, 999, 1000], 61_440 + 26_000, &[]);
        check([649, 160, 999, 1000], 1, &["requests a second, 64 connections"]);
        check([650, 161, 999, 1000], 1, &["CPU of 10 000 requests, us"]);
        check([650, 160, 1000, 1000], 1, &["p50 at 1000/s, us"]);
        check([650, 160, 999, 1005], 1, &["p99 at 1000/s, us"]);
        check([650, 160, 999, 1000], 90_000, &["resident memory at 256 connections, KiB"]);
    }

    #[test]
    fn a_ratio_is_the_median_of_rounds_and_not_the_ratio_of_medians() {
        let bare = [[100, 1, 1, 1], [200, 1, 1, 1], [400, 1, 1, 1]];
        let ours = [[90, 1, 1, 1], [100, 1, 1, 1], [320, 1, 1, 1]];
        assert_eq!(rounds(&ours, &bare).ratio(|it| it.per_second), 80);
        assert_eq!(Rounds::default().ratio(|it| it.per_second), 0);
    }

    #[test]
    fn remembered_ids_are_held_against_the_same_without_them() {
        let bare = [[1000, 100, 400, 500]];
        let plain = rounds(&[[800, 140, 500, 600]], &bare);
        let mut report = Report::new(&plain, [1, 1], 0);
        report.remembering(&plain, &rounds(&[[700, 161, 500, 600]], &bare), 10_000_000);
        assert!(report.holds());
        report.remembering(&plain, &rounds(&[[600, 162, 500, 600]], &bare), 10_000_000);
        assert!(!report.holds());
        let text = report.text();
        assert_eq!(text.matches("BROKEN").count(), 2, "{text}");
    }
}
