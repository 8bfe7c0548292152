//! Compares the mistakes of all detectors at equal detection times, over the same traces.
//!
//! `cargo bench --no-default-features --bench detectors` uses the seeded traces; with file names
//! after `--` it replays recorded ones instead.

#![expect(clippy::print_stdout, reason = "it prints tables")]
#![expect(clippy::cast_precision_loss, reason = "numbers for people")]

#[path = "detectors/trace.rs"]
mod trace;

use std::env;
use std::error::Error;
use std::fs;

use udpulse::heartbeat::{Detector, Estimate, Kind};

use trace::{FLEET, Judgement, NETWORKS, Profile, Trace};

const BEATS: u64 = 1_000_000;
const SEEDS: [u64; 2] = [1, 2];
/// The bound on mistakes per beat, for the fleet.
const BOUND: f64 = 1e-4;

/// Detection times of the comparison, in intervals.
const TIMES: [f64; 5] = [3.0, 4.0, 5.0, 10.0, 20.0];

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> =
        env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if files.is_empty() {
        compare(NETWORKS.map(|profile| (profile.name.to_owned(), traces(&profile))).as_slice());
        fleet();
        defaults();
        return Ok(());
    }
    let mut recorded = Vec::new();
    for file in files {
        let trace = Trace::parse(&fs::read_to_string(&file)?)
            .map_err(|error| format!("{file}: {error}"))?;
        recorded.push((file, vec![trace]));
    }
    compare(&recorded);
    Ok(())
}

fn traces(profile: &Profile) -> Vec<Trace> {
    SEEDS.iter().map(|seed| profile.trace(BEATS, *seed)).collect()
}

fn replay(traces: &[Trace], kind: Kind) -> Vec<Judgement> {
    let detector = Detector::of(kind);
    // The first 1000 beats are for learning, as in the literature.
    traces.iter().flat_map(|trace| trace.replay(&detector).into_iter().skip(1000)).collect()
}

/// Returns the mean detection time of a crash right after a beat was sent: its value at level 0,
/// and its increase per level.
fn mean_line(judged: &[Judgement]) -> (f64, f64) {
    let count = judged.len().max(1) as f64;
    let base: f64 = judged.iter().map(|judged| judged.line.base_ns + judged.delay_ns as f64).sum();
    let unit: f64 = judged.iter().map(|judged| judged.line.unit_ns).sum();
    (base / count, unit / count)
}

fn mistakes(judged: &[Judgement], level: f64) -> f64 {
    let wrong =
        judged.iter().filter(|judged| judged.gap_ns > judged.line.timeout_ns(level)).count();
    1e6 * wrong as f64 / judged.len().max(1) as f64
}

/// Prints one table per trace: mistakes per million beats at the same mean detection time.
fn compare(all: &[(String, Vec<Trace>)]) {
    for (name, traces) in all {
        println!("\n{name}: mistakes per 1e6 beats at a mean detection time in intervals of");
        print!("{:>12}", "");
        for time in TIMES {
            print!("{time:>9}");
        }
        println!();
        let interval = traces[0].interval_ns as f64;
        for (kind_name, kind) in Kind::ALL {
            let judged = replay(traces, kind);
            let (base, unit) = mean_line(&judged);
            print!("{kind_name:>12}");
            for time in TIMES {
                let level = time.mul_add(interval, -base) / unit;
                if level > 0.0 {
                    print!("{:>9.1}", mistakes(&judged, level));
                } else {
                    print!("{:>9}", "-");
                }
            }
            println!();
        }
    }
}

/// Prints the smallest common level that keeps each client of the fleet within the bound, and the
/// mean detection time that it means for each, in intervals.
fn fleet() {
    println!(
        "\nOne level for the whole fleet, at most {BOUND:e} mistakes per beat: mean detection time in intervals"
    );
    print!("{:>12}{:>9}", "", "level");
    for profile in FLEET {
        print!("{:>14}", profile.name);
    }
    println!();
    let all = FLEET.map(|profile| traces(&profile));
    for (name, kind) in Kind::ALL {
        let judged: Vec<_> = all.iter().map(|traces| replay(traces, kind)).collect();
        let level = judged.iter().map(|judged| least_level(judged)).fold(0.0, f64::max);
        print!("{name:>12}{level:>9.2}");
        for (judged, traces) in judged.iter().zip(&all) {
            let (base, unit) = mean_line(judged);
            print!("{:>13.1}x", level.mul_add(unit, base) / traces[0].interval_ns as f64);
        }
        println!();
    }
}

/// Returns the level at which a share of `BOUND` of the beats is a mistake.
fn least_level(judged: &[Judgement]) -> f64 {
    let mut needed: Vec<f64> = judged
        .iter()
        .map(|judged| (judged.gap_ns as f64 - judged.line.base_ns) / judged.line.unit_ns)
        .collect();
    needed.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    let allowed = (BOUND * judged.len() as f64) as usize;
    needed[needed.len() - 1 - allowed]
}

/// Prints the results of the defaults: the verdict "down" after five intervals without a beat.
fn defaults() {
    let detector = Detector::of(Kind::Multiple);
    println!("\nThe default, multiple: mistakes per 1e6 beats, and the timeout in intervals");
    for profile in FLEET.iter().chain(&NETWORKS) {
        let traces = traces(profile);
        let judged = replay(&traces, Kind::Multiple);
        let interval = traces[0].interval_ns;
        let (_, down_ns) = detector.timeouts_ns(&Estimate::default(), interval);
        let level = down_ns as f64 / interval as f64;
        println!("{:>14}: {:>7.1} at {level:.1}", profile.name, mistakes(&judged, level));
    }
}
