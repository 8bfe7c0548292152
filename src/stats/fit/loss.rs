//! The choice among models of loss, and their parameters with intervals.

use crate::Random;
use crate::stats::fit::bad_delay;
use crate::stats::fit::chain::Chain;
use crate::stats::fit::check::Check;
use crate::stats::fit::optimum::{MOST, Optimum, Point, maximum};
use crate::stats::fit::trace::Trace;
use crate::stats::loss::{Z, wilson};

/// A model of loss; each has one parameter more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Model {
    /// Nothing was lost.
    None,
    /// Independent losses.
    Bernoulli,
    /// A bad state that loses everything.
    Gilbert,
    /// A bad state that loses a part.
    Gilbert3,
    /// Two states that each lose a part.
    Gilbert4,
}

impl Model {
    /// All of them by name.
    pub const ALL: [(&str, Self); 5] = [
        ("none", Self::None),
        ("bernoulli", Self::Bernoulli),
        ("gilbert", Self::Gilbert),
        ("gilbert3", Self::Gilbert3),
        ("gilbert4", Self::Gilbert4),
    ];
}

/// A value and its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// The interval; both ends are the value if the model fixes it.
    pub interval: (f64, f64),
}

impl Estimate {
    fn fixed(value: f64) -> Self {
        Self { value, interval: (value, value) }
    }
}

/// A fitted model of loss.
#[derive(Clone, Debug, PartialEq)]
pub struct LossFit {
    /// The model with the least BIC.
    pub model: Model,
    /// The mean loss.
    pub loss: Estimate,
    /// The probabilities of loss in the bad and in the good state.
    pub losses: [Estimate; 2],
    /// The probabilities that the good state turns bad and the bad one good between packets
    /// `spacing` apart.
    pub changes: [Estimate; 2],
    /// The mean durations of the good and of the bad state, in seconds; `None` without states.
    pub durations: Option<[Estimate; 2]>,
    /// Each model's information criterion (Schwarz 1978); that of a model that explains no more than
    /// a simpler one is absent.
    pub bic: Vec<(Model, f64)>,
    chain: Chain,
    /// The maximum of its likelihood, if it has states.
    hidden: Option<Hidden>,
}

/// Fits a model to a trace with at least one packet.
///
/// The likelihood of each model is maximized, and the information criterion chooses. Intervals
/// follow from the curvature of the likelihood in logarithms of rates and log-odds of probabilities.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts need no more than 53 bits")]
pub fn fit_loss(trace: &Trace) -> LossFit {
    let (n, share) = (trace.packets as f64, trace.share());
    let interval = wilson(share, n, Z);
    let loss = Estimate { value: share, interval };
    let kept = Estimate { value: 1.0 - share, interval: (1.0 - interval.1, 1.0 - interval.0) };
    let mut fit = LossFit {
        model: if trace.lost == 0 { Model::None } else { Model::Bernoulli },
        loss,
        losses: [Estimate::fixed(1.0), Estimate::fixed(0.0)],
        changes: [loss, kept],
        durations: None,
        bic: Vec::new(),
        chain: Chain { worsens: 1.0, recovers: 1.0, bad_loss: share, good_loss: share },
        hidden: None,
    };
    let entropy = |p: f64| if p > 0.0 { p * p.ln() } else { 0.0 };
    let mut least = -2.0 * n * (entropy(share) + entropy(1.0 - share)) + n.ln();
    fit.bic.push((Model::Bernoulli, least));
    if trace.lost == 0 || trace.lost == trace.packets || trace.spacing <= 0.0 {
        return fit;
    }
    let mut best: Option<Hidden> = None;
    let mut simpler: Option<Optimum> = None;
    for model in [Model::Gilbert, Model::Gilbert3, Model::Gilbert4] {
        let parameters = model as usize;
        let Some(optimum) = climb(trace, model, simpler.as_ref()) else { continue };
        simpler = Some(optimum);
        let hidden = Hidden { model, optimum };
        // A memory shorter than the time between packets cannot be seen.
        if hidden.chain().memory(trace.spacing) < 1e-3 {
            continue;
        }
        let bic = -2.0 * optimum.value + parameters as f64 * n.ln();
        fit.bic.push((model, bic));
        if bic < least {
            least = bic;
            best = Some(hidden);
        }
    }
    if let Some(hidden) = best {
        hidden.describe(trace.spacing, &mut fit);
    }
    fit
}

impl LossFit {
    /// Returns how much more the packets take that pass in the bad state, in nanoseconds, and removes
    /// that from their delays if chance does not explain it. `None` if none pass, or if too few
    /// delays are known.
    pub fn take_bad_delay(&self, trace: &mut Trace) -> Option<Estimate> {
        let hidden = self.hidden.as_ref().filter(|hidden| hidden.model >= Model::Gilbert3)?;
        let (value, variance) = bad_delay::estimate(&self.chain, trace);
        // Nobody knows the chain either.
        let slope = |at: &Point| bad_delay::slope(&chain(hidden.model, at), trace);
        let of_chain = hidden.optimum.variance(hidden.model as usize, slope)?;
        let reach = Z * (variance + of_chain).sqrt();
        let estimate = Estimate { value, interval: (value - reach, value + reach) };
        if !(value + reach).is_finite() {
            return None;
        }
        if estimate.interval.0 > 0.0 {
            bad_delay::remove(value, &self.chain, trace);
        }
        Some(estimate)
    }

    /// Compares the model with the trace that it was fitted to, by `runs` simulations.
    #[must_use]
    pub fn check(&self, trace: &Trace, runs: usize, seed: u64) -> Check {
        Check::new(&self.chain, trace, runs, &mut Random::new(Some(seed)))
    }
}

/// A maximum of the likelihood of a model with states. The variables are the logarithms of the
/// rates and the log-odds of the losses.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Hidden {
    model: Model,
    optimum: Optimum,
}

fn chain(model: Model, at: &Point) -> Chain {
    Chain {
        worsens: at[0].exp(),
        recovers: at[1].exp(),
        bad_loss: if model >= Model::Gilbert3 { probability(at[2]) } else { 1.0 },
        good_loss: if model >= Model::Gilbert4 { probability(at[3]) } else { 0.0 },
    }
}

fn probability(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds).exp())
}

fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

/// Returns the greatest maximum from several starts; `simpler` is that of the model with a parameter
/// less.
fn climb(trace: &Trace, model: Model, simpler: Option<&Optimum>) -> Option<Optimum> {
    let f = |at: &Point| {
        let log = chain(model, at).log_likelihood(trace);
        if log.is_nan() { f64::NEG_INFINITY } else { log }
    };
    let mut starts = starts(trace, model);
    if let Some(simpler) = simpler {
        let mut start = simpler.at;
        match model {
            Model::Gilbert3 => start[2] = 2.0,
            Model::Gilbert4 => start[3] = log_odds((0.1 * trace.share()).clamp(1e-6, 0.1)),
            _ => (),
        }
        starts.push(start);
    }
    let mut ranked: Vec<_> = starts.into_iter().map(|start| (f(&start), start)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let most = if model == Model::Gilbert { 1 } else { 2 };
    let optima = ranked.into_iter().take(most).map(|(_, start)| maximum(model as usize, start, f));
    optima.filter(|optimum| optimum.value.is_finite()).max_by(|a, b| a.value.total_cmp(&b.value))
}

/// Returns points from which to climb: transitions counted as if states were seen, and states that
/// last longer and lose less.
fn starts(trace: &Trace, model: Model) -> Vec<Point> {
    let [[stays, worsens], [recovers, lasts]] = trace.transitions();
    let p = (worsens + 0.5) / (stays + worsens + 1.0);
    let r = (recovers + 0.5) / (recovers + lasts + 1.0);
    let share = trace.share();
    let point = |p: f64, r: f64, bad_loss: f64, good_loss: f64| {
        let rate = -(1.0 - p - r).max(0.02).ln() / trace.spacing;
        let mut at = [0.0; MOST];
        at[0] = (p / (p + r) * rate).ln();
        at[1] = (r / (p + r) * rate).ln();
        if model >= Model::Gilbert3 {
            at[2] = log_odds(bad_loss);
        }
        if model >= Model::Gilbert4 {
            at[3] = log_odds(good_loss);
        }
        at
    };
    if model == Model::Gilbert {
        return vec![point(p, r, 1.0, 0.0)];
    }
    let mut starts = Vec::new();
    for bad_loss in [0.9_f64, 0.5, 0.3] {
        for slower in [1.0, 0.3, 0.1] {
            for part in [0.05, 0.4] {
                // Of the loss, this part is the good state's.
                let good_loss = (part * share).clamp(1e-6, 0.2);
                let bad = ((share - good_loss) / bad_loss).clamp(1e-6, 0.5);
                let r = (r * slower).clamp(1e-4, 0.9);
                starts.push(point((bad * r / (1.0 - bad)).min(0.9), r, bad_loss, good_loss));
                if model == Model::Gilbert3 {
                    break;
                }
            }
        }
    }
    starts
}

impl Hidden {
    fn chain(&self) -> Chain {
        chain(self.model, &self.optimum.at)
    }

    /// Returns a quantity of the chain with its interval, which is symmetric on the scale of `to`.
    fn estimate(
        &self,
        of: impl Fn(&Chain) -> f64,
        to: impl Fn(f64) -> f64,
        from: impl Fn(f64) -> f64,
        widest: (f64, f64),
    ) -> Estimate {
        let value = of(&self.chain());
        let scaled = |at: &Point| to(of(&chain(self.model, at)));
        let interval = match self.optimum.variance(self.model as usize, scaled) {
            Some(variance) => {
                let reach = Z * variance.sqrt();
                (from(to(value) - reach), from(to(value) + reach))
            }
            None => widest,
        };
        Estimate { value, interval }
    }

    fn share(&self, of: impl Fn(&Chain) -> f64) -> Estimate {
        self.estimate(of, log_odds, probability, (0.0, 1.0))
    }

    fn duration(&self, of: impl Fn(&Chain) -> f64) -> Estimate {
        self.estimate(of, f64::ln, f64::exp, (0.0, f64::INFINITY))
    }

    fn describe(&self, spacing: f64, fit: &mut LossFit) {
        fit.model = self.model;
        fit.hidden = Some(*self);
        fit.chain = self.chain();
        fit.loss = self.share(Chain::loss);
        if self.model >= Model::Gilbert3 {
            fit.losses[0] = self.share(|chain| chain.bad_loss);
        }
        if self.model >= Model::Gilbert4 {
            fit.losses[1] = self.share(|chain| chain.good_loss);
        }
        fit.changes = [
            self.share(|chain| chain.changes(spacing).0),
            self.share(|chain| chain.changes(spacing).1),
        ];
        fit.durations = Some([
            self.duration(|chain| 1.0 / chain.worsens),
            self.duration(|chain| 1.0 / chain.recovers),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::fit::trace::Run;
    use crate::stats::fit::trace::tests::every;

    /// Returns a trace of `n` packets `apart_ns` over `chain`.
    fn trace(chain: &Chain, apart_ns: i64, n: usize, seed: u64) -> Trace {
        let blank = Trace::new(vec![every(apart_ns, vec![false; n])]);
        let runs = chain.simulate(&blank, &mut Random::new(Some(seed)));
        Trace::new(vec![every(apart_ns, outcomes(&runs[0]))])
    }

    fn outcomes(runs: &[Run]) -> impl Iterator<Item = bool> {
        let count = |run: &Run| usize::try_from(run.count).unwrap();
        runs.iter().flat_map(move |run| std::iter::repeat_n(run.lost, count(run)))
    }

    const RECOVERS: f64 = 8.0;

    fn chain(bad_loss: f64, good_loss: f64) -> Chain {
        Chain { worsens: 1.0, recovers: RECOVERS, bad_loss, good_loss }
    }

    /// Asserts that 200 traces of `n` packets each lead back to the model, at three packet rates, and
    /// that the truth lies within at least nine of ten intervals.
    fn assert_truth_is_found(model: Model, chain: &Chain, n: usize, apart_ms: [i64; 3]) {
        // Without optimizations a third has to do.
        let runs = if cfg!(debug_assertions) { 67 } else { 200 };
        for ms in apart_ms {
            let (mut right, mut within) = (0, [0; 7]);
            for seed in 0..runs {
                let trace = trace(chain, ms * 1_000_000, n, seed);
                let fit = fit_loss(&trace);
                right += u32::from(fit.model == model);
                let (p, r) = chain.changes(trace.spacing);
                let mut truths = vec![
                    (fit.loss, chain.loss()),
                    (fit.losses[0], chain.bad_loss),
                    (fit.losses[1], chain.good_loss),
                    (fit.changes[0], p),
                    (fit.changes[1], r),
                ];
                if let Some([good, bad]) = fit.durations {
                    truths.push((good, 1.0 / chain.worsens));
                    truths.push((bad, 1.0 / chain.recovers));
                }
                for (count, (Estimate { interval, .. }, truth)) in within.iter_mut().zip(truths) {
                    *count += u32::from((interval.0..=interval.1).contains(&truth));
                }
            }
            let least = u32::try_from(runs).unwrap() * 9 / 10;
            assert!(right >= least, "{model:?} at {ms} ms: chosen {right} times");
            let parameters = if model == Model::Bernoulli { &within[..1] } else { &within[..] };
            let enough = parameters.iter().all(|count| *count >= least);
            assert!(enough, "{model:?} at {ms} ms: within {within:?} of {runs}");
        }
    }

    #[test]
    fn independent_losses_are_found() {
        assert_truth_is_found(Model::Bernoulli, &chain(0.03, 0.03), 3000, [1, 10, 100]);
    }

    #[test]
    fn bursts_are_found() {
        assert_truth_is_found(Model::Gilbert, &chain(1.0, 0.0), 6000, [10, 20, 40]);
    }

    #[test]
    fn bursts_that_let_packets_pass_are_found() {
        assert_truth_is_found(Model::Gilbert3, &chain(0.5, 0.0), 6000, [10, 20, 40]);
    }

    #[test]
    fn losses_between_bursts_are_found() {
        assert_truth_is_found(Model::Gilbert4, &chain(0.6, 0.01), 10_000, [5, 10, 20]);
    }

    #[test]
    fn the_criterion_chooses_the_right_model() {
        let right = |p, r, bad_loss, good_loss, n, model| {
            let chain = Chain::of_packets(p, r, bad_loss, good_loss, 0.01);
            let fits = (0..20).map(|seed| fit_loss(&trace(&chain, 10_000_000, n, seed)).model);
            fits.filter(|found| *found == model).count()
        };
        assert!(right(0.01, 0.25, 0.03, 0.03, 2000, Model::Bernoulli) >= 19);
        assert!(right(0.01, 0.25, 1.0, 0.0, 2000, Model::Gilbert) >= 19);
        assert!(right(0.01, 0.1, 0.5, 0.0, 2000, Model::Gilbert3) >= 19);
        assert!(right(0.005, 0.05, 0.4, 0.002, 10_000, Model::Gilbert4) >= 15);
    }

    #[test]
    fn irregular_packets_show_the_same_link() {
        let (truth, mut random) = (chain(1.0, 0.0), Random::new(Some(4)));
        let mut packets = every(1, vec![false; 4000]);
        let mut at_ns = 0;
        for packet in &mut packets {
            // Poisson, 20 ms apart on average.
            #[expect(clippy::cast_possible_truncation, reason = "a time")]
            let gap_ns = (-2e7 * (1.0 - random.unit()).ln()) as i64;
            at_ns += gap_ns;
            packet.sent_ns = at_ns;
        }
        let runs = truth.simulate(&Trace::new(vec![packets.clone()]), &mut random);
        for (packet, lost) in packets.iter_mut().zip(outcomes(&runs[0])) {
            packet.lost = lost;
        }
        let trace = Trace::new(vec![packets]);
        assert!(!trace.regular);
        let fit = fit_loss(&trace);
        assert_eq!(fit.model, Model::Gilbert);
        let [good, bad] = fit.durations.unwrap();
        for (Estimate { interval, .. }, truth) in [(good, 1.0), (bad, 0.125)] {
            assert!((interval.0..=interval.1).contains(&truth), "{truth} in {interval:?}");
        }
    }

    #[test]
    fn few_packets_have_wide_intervals_and_no_states() {
        for lost in [&[false][..], &[true], &[true; 50], &[false; 50], &[false, true]] {
            let fit = fit_loss(&Trace::new(vec![every(10, lost.iter().copied())]));
            assert!(fit.model <= Model::Bernoulli && fit.durations.is_none());
            let (low, high) = fit.loss.interval;
            assert!(low <= fit.loss.value && fit.loss.value <= high && high - low > 0.05);
        }
        // Losses that repel each other have no states either.
        let alternating = fit_loss(&Trace::new(vec![every(10, [true, false].repeat(500))]));
        assert_eq!(alternating.model, Model::Bernoulli);
    }

    #[test]
    fn a_wrong_model_is_told_from_the_right_one() {
        let (truth, mut low) = (chain(1.0, 0.0), 0);
        for seed in 0..20 {
            let trace = trace(&truth, 20_000_000, 3000, seed);
            let fit = fit_loss(&trace);
            low += u32::from(fit.check(&trace, 39, seed).p_value.unwrap() < 0.05);
            // Independent losses, as many.
            let share = fit.loss.value;
            let wrong = LossFit { chain: chain(share, share), ..fit };
            assert!(wrong.check(&trace, 39, seed).p_value.unwrap() <= 0.05);
        }
        assert!(low <= 3, "{low} of 20");
    }

    #[test]
    fn a_link_that_changes_is_not_stationary() {
        let p_value = |chains: [Chain; 2]| {
            let parts = chains.map(|chain| trace(&chain, 10_000_000, 15_000, 3));
            let losses = parts.iter().flat_map(|trace| &trace.segments[0].packets);
            let both = Trace::new(vec![every(10_000_000, losses.map(|packet| packet.lost))]);
            let check = fit_loss(&both).check(&both, 99, 1);
            check.stationary.unwrap()
        };
        assert!(p_value([chain(0.5, 0.0), chain(0.5, 0.0)]) > 0.05);
        let better = Chain { worsens: 0.2, ..chain(0.5, 0.0) };
        assert!(p_value([chain(0.5, 0.0), better]) <= 0.01);
    }
}
