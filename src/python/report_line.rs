//! The attributes of a report in a line of JSON.

use crate::ping::{Change, Counters, HeaderField, Outage, Pause, Report, Verdict};
use crate::python::args::Word;
use crate::python::directions;
use crate::python::json::{Items, Json, Members, Object};
use crate::python::ping_report::{joined, send_errors, timestamps};
use crate::stats::{Distribution, Runs};

/// Adds the attributes of one flow, or of the sum of all; times count from `start_ns`.
pub(super) fn describe_report(report: &Report, start_ns: i64, line: &mut Object<'_>) {
    line.add("target", report.target.as_ref().map(|(host, port)| joined(host, *port)))
        .add("address", report.address)
        .add("unresolved", report.unresolved.as_deref())
        .add("started_at_ns", report.started_ns.map(|ns| ns.saturating_sub(start_ns)));
    add_counts(report, line);
    add_times(report, line);
    add_events(report, start_ns, line);
    add_path(report, start_ns, line);
    directions::describe(report.directions.as_deref(), line);
}

fn add_counts(report: &Report, line: &mut Object<'_>) {
    let Counters { sent, answered, late, lost, refused, unreachable, .. } = report.counters;
    let Counters { send_failed, pending, received, duplicates, corrupt, .. } = report.counters;
    let Counters { foreign, guessed, .. } = report.counters;
    line.add("sent", sent)
        .add("answered", answered)
        .add("late", late)
        .add("lost", lost)
        .add("refused", refused)
        .add("unreachable", unreachable)
        .add("send_failed", send_failed)
        .add("pending", pending)
        .add("received", received)
        .add("duplicates", duplicates)
        .add("corrupt", corrupt)
        .add("foreign", foreign)
        .add("guessed", guessed)
        .add("loss", report.counters.loss())
        .add("loss_interval", report.loss_interval())
        .add("loss_bursts", report.loss_runs.bursts)
        .add("loss_gaps", report.loss_runs.gaps);
    let settled = report.settled;
    line.add(
        "settled",
        Members(move |object: &mut Object<'_>| {
            object.add("sent", settled.iter().sum::<u64>());
            for (word, verdict) in Verdict::ALL {
                if verdict != Verdict::Pending {
                    object.add(word, settled[verdict as usize]);
                }
            }
        }),
    );
}

fn add_times(report: &Report, line: &mut Object<'_>) {
    line.add("rtt", &report.rtt)
        .add("kernel_rtt", &report.kernel_rtt)
        .add("overhead", &report.overhead)
        .add("timestamps", timestamps(report))
        .add("schedule_error", &*report.schedule_error)
        .add("missed", report.missed)
        .add("ipdv_abs_mean_ns", report.variation.ipdv_abs_mean_ns().map(f64::round))
        .add("rfc3550_jitter_ns", report.variation.rfc3550_jitter_ns().map(f64::round))
        .add("pdv_p95_ns", report.pdv_p95_ns())
        .add("reordered", report.reordering.reordered())
        .add("reorder_ratio", report.reordering.ratio())
        .add("reorder_extent", report.reordering.max_extent());
}

fn add_events(report: &Report, start_ns: i64, line: &mut Object<'_>) {
    let since = |ns: i64| ns.saturating_sub(start_ns);
    let outage = |outage: &Outage| {
        let outage = *outage;
        Members(move |object: &mut Object<'_>| add_outage(&outage, start_ns, object))
    };
    let pause = |pause: &Pause| {
        let (start, end) = (since(pause.start_ns), since(pause.end_ns));
        Members(move |object: &mut Object<'_>| {
            object.add("start_ns", start).add("end_ns", end);
        })
    };
    line.add("outages", Items(report.outages.listed.iter().map(outage)))
        .add("outage_count", report.outages.count)
        .add("outage_total_ns", report.outages.total_ns)
        .add("wall_steps", report.wall_steps.count)
        .add("wall_step_total_ns", report.wall_steps.total_ns)
        .add("paused", report.pauses.count)
        .add("paused_total_ns", report.pauses.total_ns)
        .add("pauses", Items(report.pauses.listed.iter().map(pause)))
        .add("receive_drops", report.receive_drops)
        .add("rows_dropped", report.rows_dropped());
}

fn add_path(report: &Report, start_ns: i64, line: &mut Object<'_>) {
    let (path, troubles) = (&report.path, &report.path.troubles);
    let unsent = send_errors(report);
    let reasons = troubles.reasons.iter().map(|(&(kind, code, router), count)| {
        Members(move |object: &mut Object<'_>| {
            let router = router.map(|ip| ip.to_string());
            object.add("type", kind).add("code", code).add("router", router).add("count", *count);
        })
    });
    let unsent = unsent.iter().map(|(reason, count)| {
        Members(move |object: &mut Object<'_>| {
            object.add("reason", reason).add("count", *count);
        })
    });
    let sources = troubles.foreign_sources.iter().map(|(from, count)| {
        Members(move |object: &mut Object<'_>| {
            object.add("address", *from).add("count", *count);
        })
    });
    let changes = troubles.changes.last.iter().map(|change| {
        let Change { at_ns, of, before, after } = *change;
        Members(move |object: &mut Object<'_>| {
            object
                .add("at_ns", at_ns.saturating_sub(start_ns))
                .add("end", Word(of).word())
                .add("before", before.map(|ip| ip.to_string()))
                .add("after", after.map(|ip| ip.to_string()));
        })
    });
    line.add("reasons", Items(reasons))
        .add("send_errors", Items(unsent))
        .add("foreign_sources", Items(sources))
        .add("path_mtu", troubles.mtu)
        .add("reply_ttl", path.reply_ttl)
        .add("reply_tos", path.reply_tos)
        .add("changes", Items(changes))
        .add("change_count", troubles.changes.count);
}

/// Adds the members of an outage. Its times are on the wall clock as it was at the start.
pub(super) fn add_outage(outage: &Outage, start_ns: i64, object: &mut Object<'_>) {
    let since = |ns: i64| ns.saturating_sub(start_ns);
    object
        .add("start_ns", since(outage.start_ns))
        .add("end_ns", outage.end_ns.map(since))
        .add("lost", outage.lost);
}

impl Json for Distribution {
    fn write(&self, out: &mut Vec<u8>) {
        Object::begin(out)
            .add("count", self.count())
            .add("min_ns", self.min_ns())
            .add("mean_ns", self.mean_ns().map(f64::round))
            .add("median_ns", self.percentile_ns(50.0))
            .add("p99_ns", self.percentile_ns(99.0))
            .add("max_ns", self.max_ns())
            .add("stddev_ns", self.stddev_ns().map(f64::round))
            .end();
    }
}

impl Json for Runs {
    fn write(&self, out: &mut Vec<u8>) {
        Object::begin(out)
            .add("count", self.count)
            .add("mean", self.mean())
            .add("max", self.max)
            .end();
    }
}

impl Json for HeaderField {
    fn write(&self, out: &mut Vec<u8>) {
        Object::begin(out)
            .add("min", self.min)
            .add("max", self.max)
            .add("changes", self.changes)
            .end();
    }
}

/// The ends of an interval.
impl Json for (f64, f64) {
    fn write(&self, out: &mut Vec<u8>) {
        [self.0, self.1][..].write(out);
    }
}
