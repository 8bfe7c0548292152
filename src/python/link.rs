//! `Link` and its models of impairment.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyRange, PyString, PyTuple};

use crate::impair::{self, Action, Bytes, Corruption, Delay, Loss, Nth, Pattern, Rate};
use crate::python::args::{
    Argument, Int, Probability, Seconds, Word, Words, integer, items, number_within, range,
    wrong_type, wrong_value,
};
use crate::python::options::{Given, given};
use crate::python::value::value;
use crate::{Error, Result, nanoseconds};

value! {
    /// Loss in bursts: the Gilbert-Elliott model (Elliott 1963), as in
    /// `tc netem loss gemodel p r 1-h 1-k`.
    ///
    /// p: the probability, 0 to 1, that the good state turns bad after a packet.
    /// r: the probability that the bad state turns good after a packet; 1 - p if None.
    /// bad_loss: the probability of loss in the bad state (netem's 1-h).
    /// good_loss: the probability of loss in the good state (netem's 1-k).
    ///
    /// The steady loss is (bad_loss p + good_loss r) / (p + r). With the default bad_loss and
    /// good_loss it is p / (p + r), in bursts of 1 / r packets on average. Each client starts in
    /// the good state.
    ///
    /// Raises ValueError if an argument is out of range.
    GilbertElliott in "udpulse.impair" {
        /// The probability that the good state turns bad after a packet.
        p: Probability,
        /// The probability that the bad state turns good after a packet.
        r: Probability = None or Probability(1.0 - p.0),
        *,
        /// The probability of loss in the bad state.
        bad_loss: Probability = 1.0,
        /// The probability of loss in the good state.
        good_loss: Probability = 0.0,
    }
}

impl GilbertElliott {
    fn model(&self) -> Result<impair::GilbertElliott> {
        impair::GilbertElliott::new(self.p.0, self.r.0, self.bad_loss.0, self.good_loss.0)
    }
}

#[pymethods]
impl GilbertElliott {
    /// Returns the model in time instead of packets: a TimedGilbertElliott of these arguments. It is
    /// the same link at every packet rate.
    #[staticmethod]
    #[pyo3(
        signature = (
            *,
            good,
            bad,
            bad_loss = given!(1.0),
            good_loss = given!(0.0),
            bad_delay = given!(0.0)
        ),
        text_signature = "(*, good, bad, bad_loss=1.0, good_loss=0.0, bad_delay=0.0)"
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    fn timed(
        py: Python<'_>,
        good: &Bound<'_, PyAny>,
        bad: &Bound<'_, PyAny>,
        bad_loss: Given<'_>,
        good_loss: Given<'_>,
        bad_delay: Given<'_>,
    ) -> PyResult<TimedGilbertElliott> {
        Ok(TimedGilbertElliott {
            good: Argument::read("good", good)?,
            bad: Argument::read("bad", bad)?,
            bad_loss: bad_loss.read(py, "bad_loss")?,
            good_loss: good_loss.read(py, "good_loss")?,
            bad_delay: bad_delay.read(py, "bad_delay")?,
        })
    }
}

value! {
    /// Loss in bursts whose length is a time: the Gilbert-Elliott model with states that last for
    /// exponentially distributed times.
    ///
    /// good: the mean duration of the good state, in seconds above 0 and below 9.2e9.
    /// bad: that of the bad state.
    /// bad_loss: the probability of loss in the bad state, 0 to 1.
    /// good_loss: the probability of loss in the good state, 0 to 1.
    /// bad_delay: the additional delay in the bad state, in seconds from 0 to 3600.
    ///
    /// The parameters of a GilbertElliott hold for one packet rate; these are the same link at every
    /// rate. Packets d seconds apart find p = share (1 - x) and r = (1 - share) (1 - x), with
    /// share = bad / (good + bad) and x = exp(-(1 / good + 1 / bad) d). The time of a packet is that
    /// at which it comes to the path. Each client starts in the good state.
    ///
    /// Raises ValueError if an argument is out of range.
    TimedGilbertElliott in "udpulse.impair" {
        *,
        /// The mean duration of the good state, in seconds.
        good: Seconds,
        /// The mean duration of the bad state, in seconds.
        bad: Seconds,
        /// The probability of loss in the bad state.
        bad_loss: Probability = 1.0,
        /// The probability of loss in the good state.
        good_loss: Probability = 0.0,
        /// The additional delay in the bad state, in seconds.
        bad_delay: DelaySeconds = 0.0,
    }
}

impl TimedGilbertElliott {
    fn model(&self) -> Result<impair::TimedGilbertElliott> {
        let (good_ns, bad_ns) = (self.good.0 * 1e9, self.bad.0 * 1e9);
        let (bad_loss, good_loss) = (self.bad_loss.0, self.good_loss.0);
        impair::TimedGilbertElliott::new(good_ns, bad_ns, bad_loss, good_loss, self.bad_delay.ns())
    }
}

value! {
    /// Loss from a given or recorded pattern, followed by each client's packets from its start.
    ///
    /// lost: 1 to 16,777,216 values, one per packet: True or 1 if it is lost, False or 0 if not.
    ///     The pattern repeats.
    ///
    /// Raises ValueError if there are none or too many.
    LossPattern in "udpulse.impair" {
        /// The pattern, a tuple of bools: True for a lost packet.
        lost: Pattern,
    }
}

impl Argument for Pattern {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "truth values";
        if given.is_instance_of::<PyString>() {
            return Err(wrong_type(name, given, allowed));
        }
        let lost = items(name, given, Self::MAX, allowed, |item| match item.extract::<bool>() {
            Ok(lost) => Ok(lost),
            Err(_) => integer(name, item, 0..=1, allowed).map(|lost| lost == 1),
        })?;
        Ok(Self::new(lost)?)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(py, self.lost())?.into_any())
    }
}

value! {
    /// A uniformly distributed delay from low to high, in seconds.
    ///
    /// Raises ValueError if a number is not in 0 to 3600 or if high is less than low.
    Uniform in "udpulse.impair" {
        /// The shortest delay, in seconds.
        low: DelaySeconds,
        /// The longest delay, in seconds.
        high: DelaySeconds,
    } checked Uniform::model
}

impl Uniform {
    fn model(&self) -> Result<Delay> {
        Delay::Uniform(self.low.ns(), self.high.ns()).checked()
    }
}

value! {
    /// A normally distributed delay with this mean and standard deviation, in seconds. A draw below
    /// 0 becomes 0, one above 3600 becomes 3600.
    ///
    /// Raises ValueError if a number is not in 0 to 3600.
    Normal in "udpulse.impair" {
        /// The mean, in seconds.
        mean: DelaySeconds,
        /// The standard deviation, in seconds.
        deviation: DelaySeconds,
    }
}

value! {
    /// An exponentially distributed delay with this mean, in seconds, cut to 3600.
    ///
    /// Raises ValueError if the mean is not in 0 to 3600.
    Exponential in "udpulse.impair" {
        /// The mean, in seconds.
        mean: DelaySeconds,
    }
}

value! {
    /// A Pareto-distributed delay (type I): at least scale, in seconds, and longer than x with
    /// probability (scale / x) ** shape; cut to 3600.
    ///
    /// Raises ValueError if the scale is not in 0 to 3600 or the shape is not above 0.
    Pareto in "udpulse.impair" {
        /// The shortest delay, in seconds.
        scale: DelaySeconds,
        /// The exponent of the tail; a larger one makes it lighter.
        shape: f64,
    } checked Pareto::model
}

impl Pareto {
    fn model(&self) -> Result<Delay> {
        Delay::Pareto(self.scale.ns(), self.shape).checked()
    }
}

value! {
    /// Delays from a table of quantiles, such as those that were measured; neighbours may be
    /// correlated.
    ///
    /// table: 1 to 4096 delays in rising order, in seconds from 0 to 3600: the quantiles at equally
    ///     spaced probabilities from 0 (the minimum) to 1 (the maximum), interpolated linearly.
    /// correlation: the rank correlation (Spearman's), 0 to 1, of consecutive packets that are not
    ///     lost; with `spacing`, of packets that are that far apart.
    /// spacing: seconds above 0, or None. With it the correlation decays exponentially with the time
    ///     between packets, and so is the same link at every packet rate.
    ///
    /// Ranks follow a first-order autoregressive Gaussian process (a copula): unlike netem's
    /// correlation, it leaves the distribution as it is.
    ///
    /// Raises ValueError if an argument is out of range.
    Quantiles in "udpulse.impair" {
        /// The quantiles, a tuple of seconds.
        table: DelayTable,
        *,
        /// The rank correlation of packets.
        correlation: Probability = 0.0,
        /// The time between packets with this correlation, in seconds; None for consecutive ones.
        spacing: Option<Seconds> = None,
    } checked Quantiles::model
}

impl Quantiles {
    fn model(&self) -> Result<Delay> {
        let table = self.table.0.iter().map(|seconds| seconds * 1e9).collect();
        let spacing_ns = self.spacing.map(|spacing| spacing.0 * 1e9);
        impair::Quantiles::new(table, self.correlation.0, spacing_ns).map(Delay::Quantiles)
    }
}

/// The quantiles of delays, in seconds.
#[derive(Clone, PartialEq)]
pub(super) struct DelayTable(Arc<[f64]>);

impl Argument for DelayTable {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let read = |item: &Bound<'_, PyAny>| DelaySeconds::read(name, item).map(|delay| delay.0);
        let allowed = "numbers of seconds";
        let table = items(name, given, impair::Quantiles::MAX, allowed, read)?;
        Ok(Self(table.into()))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(py, self.0.iter())?.into_any())
    }
}

value! {
    /// Deliberate reordering: with probability p a packet is held back for `delay` more seconds, so
    /// that packets sent in that time overtake it.
    ///
    /// Raises ValueError if an argument is out of range.
    Reordering in "udpulse.impair" {
        /// The probability that a packet is held back.
        p: Probability,
        /// The length of the hold, in seconds.
        delay: Seconds,
    }
}

impl Reordering {
    fn model(&self) -> Result<impair::Reordering> {
        impair::Reordering::new(self.p.0, self.delay.ns())
    }
}

value! {
    /// A rate limit with a bounded queue: a packet that finds no room in the queue is lost.
    ///
    /// bits_per_second: a whole number, 1 or more. A packet counts as its payload and 28 bytes of
    ///     IPv4 and UDP headers.
    /// queue: the capacity of the queue in bytes, 0 to 2**32 - 1, for all unsent bytes: the unsent
    ///     part of the packet in transmission counts too. An idle link accepts any packet.
    ///
    /// Raises ValueError if an argument is out of range.
    RateLimit in "udpulse.impair" {
        /// The rate, in bits per second, headers included.
        bits_per_second: BitsPerSecond,
        *,
        /// The capacity of the queue, in bytes.
        queue: Int<u32, 0, { u32::MAX as u64 }> = 65536,
    }
}

impl RateLimit {
    fn model(&self) -> Result<Rate> {
        Rate::new(self.bits_per_second.0, self.queue.0)
    }
}

value! {
    /// A rate that follows a recorded trace, in the format of mahimahi, with a bounded queue: a
    /// packet that finds no room in the queue is lost.
    ///
    /// opportunities: 1 to 4,194,304 whole numbers in rising order: the milliseconds, since the
    ///     client's first packet, at which the link can deliver. The same number again is one more
    ///     opportunity. Or the path of a file with one number a line.
    /// quantum: the bytes that an opportunity carries, 1 to 2**32 - 1: parts of packets or several
    ///     packets. A packet counts as its payload and 28 bytes of IPv4 and UDP headers. What finds
    ///     no packet is lost.
    /// queue: the capacity of the queue in bytes, 0 to 2**32 - 1, as that of a RateLimit.
    ///
    /// After its last opportunity the trace begins again. A trace of 1 is 12 Mbit/s.
    ///
    /// Raises ValueError if an argument is out of range or a line is not a number; OSError if the
    /// file cannot be read.
    TraceRate in "udpulse.impair" {
        /// The opportunities, a tuple of milliseconds.
        opportunities: Opportunities,
        *,
        /// The bytes that an opportunity carries.
        quantum: Int<u32, 1, { u32::MAX as u64 }> = 1500,
        /// The capacity of the queue, in bytes.
        queue: Int<u32, 0, { u32::MAX as u64 }> = 65536,
    } checked TraceRate::model
}

impl TraceRate {
    fn model(&self) -> Result<impair::TraceRate> {
        impair::TraceRate::new(self.opportunities.0.to_vec(), self.quantum.0, self.queue.0)
    }
}

/// The milliseconds of a trace.
#[derive(Clone, PartialEq)]
pub(super) struct Opportunities(Arc<[u32]>);

impl Argument for Opportunities {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let limit = impair::TraceRate::MAX;
        let allowed = "whole numbers of milliseconds from 0 to 2**32 - 1, or the path of a file";
        if let Ok(path) = given.extract::<PathBuf>() {
            let text = std::fs::read_to_string(path)?;
            let numbers = text.lines().take(limit + 1).zip(1..).map(|(line, number)| {
                line.trim().parse().map_err(|_| {
                    let given = format!("{:?} in line {number}", shorten(line));
                    Error::argument(
                        name,
                        given,
                        "a file with a whole number of milliseconds a line",
                    )
                })
            });
            return Ok(Self(numbers.collect::<Result<_>>()?));
        }
        let read = |item: &Bound<'_, PyAny>| {
            let ms = integer(name, item, 0..=u32::MAX.into(), allowed)?;
            Ok(u32::try_from(ms).unwrap_or(u32::MAX))
        };
        Ok(Self(items(name, given, limit, allowed, read)?.into()))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(py, self.0.iter())?.into_any())
    }
}

/// Returns the beginning of a line.
fn shorten(line: &str) -> String {
    line.chars().take(40).collect()
}

/// A rate as Python names it.
#[derive(Clone, PartialEq)]
pub(super) enum RateArg {
    Limit(RateLimit),
    Trace(TraceRate),
}

impl Argument for RateArg {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(limit) = Argument::read(name, given) {
            return Ok(Self::Limit(limit));
        }
        let trace = Argument::read(name, given).map(Self::Trace);
        trace.map_err(|_| wrong_type(name, given, "a RateLimit or a TraceRate"))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Limit(limit) => limit.show(py),
            Self::Trace(trace) => trace.show(py),
        }
    }
}

/// The effect of a rule.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Effect {
    Drop,
    Delay,
    Duplicate,
    Corrupt,
}

impl Words for Effect {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("drop", Self::Drop),
        ("delay", Self::Delay),
        ("duplicate", Self::Duplicate),
        ("corrupt", Self::Corrupt),
    ];
}

value! {
    /// A rule about single packets, such as the second one of a kind.
    ///
    /// action: "drop" loses the packet (`lost` in its Fate); "delay" holds it back (`held`);
    ///     "duplicate" lets it arrive twice (`duplicated`), with the same random choices for both; and
    ///     "corrupt" flips a bit (`corrupted`).
    /// offset: the place of value in the payload, 0 to 65526.
    /// value: the bytes that the payload has there; None for any payload.
    /// mask: as many bytes, whose bits say which bits of the payload are compared; None for all.
    /// min_size: the length of the shortest payload that matches, 0 to 65527; None for 0.
    /// max_size: that of the longest, at least min_size; None for 65527.
    /// nth: the matches on which the rule acts: a number from 1, a range, or at most 65536 numbers;
    ///     None for all. They are counted for each client and link from its start.
    /// delay: the time for "delay", in seconds from 0 to 3600.
    /// bit: the bit for "corrupt", counted from the lowest bit of the first byte; a payload without it
    ///     does not match. None for the first.
    ///
    /// On an EchoServer's downlink the payload is the answer.
    ///
    /// Raises ValueError if an argument is out of range, or if no packet can match.
    Rule in "udpulse.impair" {
        /// The effect: "drop", "delay", "duplicate" or "corrupt".
        action: Word<Effect>,
        *,
        /// The place of value in the payload.
        offset: Int<usize, 0, { impair::Rule::MAX_SIZE as u64 - 1 }> = 0,
        /// The bytes of the payload there; None for any.
        value: Option<Vec<u8>> = None,
        /// The bits that are compared; None for all.
        mask: Option<Vec<u8>> = None,
        /// The length of the shortest payload; None for any.
        min_size: Option<Size> = None,
        /// The length of the longest payload; None for any.
        max_size: Option<Size> = None,
        /// The numbers of the matches on which it acts: a number, a tuple or a range; None for all.
        nth: Numbers = None,
        /// The delay, in seconds; None for other actions.
        delay: Option<DelaySeconds> = None,
        /// The bit to flip; None for the first.
        bit: Option<u32> = None,
    } checked Rule::model
}

/// The length of a payload.
type Size = Int<usize, 0, { impair::Rule::MAX_SIZE as u64 }>;

impl Rule {
    fn model(&self) -> Result<impair::Rule> {
        let effect = self.action.0;
        let refuse = |name, given: Option<String>, word| {
            let allowed = format!("None without action='{word}'");
            given.map_or(Ok(()), |given| Err(Error::argument(name, given, allowed)))
        };
        if effect != Effect::Delay {
            refuse("delay", self.delay.map(|delay| delay.0.to_string()), "delay")?;
        }
        if effect != Effect::Corrupt {
            refuse("bit", self.bit.map(|bit| bit.to_string()), "corrupt")?;
        }
        let action = match (effect, self.delay) {
            (Effect::Drop, _) => Action::Drop,
            (Effect::Duplicate, _) => Action::Duplicate,
            (Effect::Corrupt, _) => Action::Corrupt(self.bit.unwrap_or(0)),
            (Effect::Delay, Some(delay)) => Action::Delay(delay.whole_ns()),
            (Effect::Delay, None) => {
                let allowed = "a number of seconds with action='delay'";
                return Err(Error::argument("delay", "None", allowed));
            }
        };
        let size = |size: Option<Size>, default| size.map_or(default, |size| size.0);
        let sizes = size(self.min_size, 0)..=size(self.max_size, impair::Rule::MAX_SIZE);
        impair::Rule::new(action, self.bytes()?, sizes, self.nth.0.clone())
    }

    fn bytes(&self) -> Result<Option<Bytes>> {
        let Some(value) = &self.value else {
            let without = "without a value";
            if let Some(mask) = &self.mask {
                let given = format!("{} bytes", mask.len());
                return Err(Error::argument("mask", given, format!("None {without}")));
            }
            if self.offset.0 > 0 {
                return Err(Error::argument("offset", self.offset.0, format!("0 {without}")));
            }
            return Ok(None);
        };
        let mask = self.mask.clone().unwrap_or_else(|| vec![u8::MAX; value.len()]);
        let (mask, value) = (mask.into(), value.clone().into());
        Ok(Some(Bytes { offset: self.offset.0, mask, value }))
    }
}

/// Numbers of matches.
#[derive(Clone, PartialEq)]
pub(super) struct Numbers(Nth);

impl Argument for Numbers {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "a number from 1, a range of them, at most 65536 of them or None";
        let read = |item: &Bound<'_, PyAny>| integer(name, item, 1..=u64::MAX, allowed);
        if given.is_none() {
            return Ok(Self(Nth::Every));
        }
        if given.is_instance_of::<PyRange>() {
            let part = |part| read_part(name, given, part, allowed);
            let (first, end, step) = (part("start")?, part("stop")?, part("step")?);
            if first == 0 || end <= first || step == 0 {
                return Err(wrong_value(name, given, allowed));
            }
            return Ok(Self(Nth::Range(first, end, step)));
        }
        if given.is_instance_of::<PyString>() || given.is_instance_of::<PyBytes>() {
            return Err(wrong_type(name, given, allowed));
        }
        if given.try_iter().is_err() {
            return Ok(Self(Nth::list(vec![read(given)?])));
        }
        let numbers = items(name, given, impair::Rule::MAX_NUMBERS, allowed, read)?;
        if numbers.is_empty() {
            return Err(wrong_value(name, given, allowed));
        }
        Ok(Self(Nth::list(numbers)))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.0 {
            Nth::Every => Ok(py.None().into_bound(py)),
            Nth::Range(first, end, step) => py.get_type::<PyRange>().call1((first, end, step)),
            Nth::List(numbers) => match numbers[..] {
                [only] => only.into_bound_py_any(py),
                _ => Ok(PyTuple::new(py, numbers.iter())?.into_any()),
            },
        }
    }
}

/// Reads a part of a range of numbers.
fn read_part(
    name: &'static str,
    given: &Bound<'_, PyAny>,
    part: &str,
    allowed: &str,
) -> PyResult<u64> {
    given.getattr(part)?.extract().map_err(|_| wrong_value(name, given, allowed))
}

/// The rules of a link.
#[derive(Clone, PartialEq)]
pub(super) struct RuleList(Vec<Rule>);

impl Argument for RuleList {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let read = |item: &Bound<'_, PyAny>| Rule::read(name, item);
        items(name, given, impair::Rule::MAX, "Rules", read).map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.show(py)
    }
}

value! {
    /// One link of a path. Its impairments apply in the order of the list; random choices are drawn
    /// packet by packet, and rate and order are decided when a packet enters the link.
    ///
    /// rules: at most 64 Rules about single packets. Each counts all packets that match it; the first
    ///     one that is due acts. Other packets meet the random choices that they meet without rules.
    /// loss: a probability from 0 to 1; "lab" (lost if a random integer from 0 to 10 is less than
    ///     4, 36.36 %); a GilbertElliott; a TimedGilbertElliott; or a LossPattern.
    /// max_burst: the most losses in a row, 0 to 2**32 - 1: the next packet passes. None for no limit.
    /// duplication: the probability that a packet arrives twice; the impairments below apply to
    ///     each copy independently.
    /// corruption: the probability that one random bit of the payload is flipped; an empty payload
    ///     stays unchanged.
    /// mtu: the longest packet that passes, 28 to 2**32 - 1 bytes with 28 of IPv4 and UDP headers; a
    ///     longer one is lost. None for no limit.
    /// rate: a RateLimit, a TraceRate, or None.
    /// delay: seconds from 0 to 3600, or a Uniform, Normal, Exponential, Pareto or Quantiles.
    /// keep_order: whether a packet waits for earlier ones even if its own delay is over.
    /// reordering: a Reordering, which applies regardless of keep_order, or None.
    ///
    /// Each client has its own state of the link, queue and random choices.
    ///
    /// Raises ValueError if an argument is out of range.
    Link in "udpulse.impair" {
        *,
        /// The rules about single packets.
        rules: RuleList = (),
        /// The model of loss.
        loss: LossArg = 0.0,
        /// The most losses in a row; None for no limit.
        max_burst: Option<Int<u32, 0, { u32::MAX as u64 }>> = None,
        /// The probability that a packet arrives twice.
        duplication: Probability = 0.0,
        /// The probability that a bit of the payload is flipped.
        corruption: Probability = 0.0,
        /// The longest packet that passes, in bytes with headers; None for no limit.
        mtu: Option<Int<u32, 28, { u32::MAX as u64 }>> = None,
        /// The rate limit; None for no limit.
        rate: Option<RateArg> = None,
        /// The delay, in seconds, or its distribution.
        delay: DelayArg = 0.0,
        /// Whether a packet waits for earlier ones even if its own delay is over.
        keep_order: bool = False,
        /// The deliberate reordering; None for none.
        reordering: Option<Reordering> = None,
    }, hint "jitter": "delay=Normal(mean, deviation) varies the delay"
}

impl Link {
    pub(super) fn model(&self) -> Result<impair::Link> {
        let (rate, trace) = match &self.rate {
            None => (None, None),
            Some(RateArg::Limit(limit)) => (Some(limit.model()?), None),
            Some(RateArg::Trace(trace)) => (None, Some(trace.model()?)),
        };
        Ok(impair::Link {
            rules: self.rules.0.iter().map(Rule::model).collect::<Result<_>>()?,
            loss: self.loss.model()?,
            max_burst: self.max_burst.map(|most| most.0),
            duplication: self.duplication.0,
            corruption: Corruption::new(self.corruption.0)?,
            mtu: self.mtu.map(|mtu| mtu.0),
            rate,
            trace,
            delay: self.delay.model()?,
            keep_order: self.keep_order,
            reordering: self
                .reordering
                .as_ref()
                .map(Reordering::model)
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// A number of seconds from 0 to 3600.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct DelaySeconds(f64);

impl DelaySeconds {
    fn ns(self) -> f64 {
        self.0 * 1e9
    }

    fn whole_ns(self) -> i64 {
        nanoseconds(self.0).unwrap_or(i64::MAX)
    }
}

impl Argument for DelaySeconds {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        number_within(name, given, 0.0..=3600.0, "a number of seconds from 0 to 3600").map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// A rate; a float with a whole value, such as 1e6, is accepted too.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct BitsPerSecond(u64);

impl Argument for BitsPerSecond {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = format!("a whole number from {}", range(1, u64::MAX));
        let whole = match given.cast::<PyFloat>() {
            Ok(rate) if rate.value().fract() == 0.0 => given.call_method0("__int__")?,
            Ok(_) => return Err(wrong_value(name, given, &allowed)),
            Err(_) => given.clone(),
        };
        integer(name, &whole, 1..=u64::MAX, &allowed).map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// A loss as Python names it.
#[derive(Clone, PartialEq)]
pub(super) enum LossArg {
    Probability(f64),
    Lab,
    Bursts(GilbertElliott),
    Timed(TimedGilbertElliott),
    Pattern(LossPattern),
}

impl Argument for LossArg {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "a probability from 0 to 1, 'lab', a GilbertElliott, a TimedGilbertElliott or a \
                       LossPattern";
        if let Ok(bursts) = Argument::read(name, given) {
            return Ok(Self::Bursts(bursts));
        }
        if let Ok(timed) = Argument::read(name, given) {
            return Ok(Self::Timed(timed));
        }
        if let Ok(pattern) = Argument::read(name, given) {
            return Ok(Self::Pattern(pattern));
        }
        if let Ok(word) = given.extract::<String>() {
            let lab = (word == "lab").then_some(Self::Lab);
            return lab.ok_or_else(|| wrong_value(name, given, allowed));
        }
        number_within(name, given, 0.0..=1.0, allowed).map(Self::Probability)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Probability(p) => p.show(py),
            Self::Lab => "lab".into_bound_py_any(py),
            Self::Bursts(bursts) => bursts.show(py),
            Self::Timed(timed) => timed.show(py),
            Self::Pattern(pattern) => pattern.show(py),
        }
    }
}

impl LossArg {
    pub(super) fn model(&self) -> Result<Loss> {
        match self {
            Self::Probability(0.0) => Ok(Loss::Never),
            Self::Probability(p) => Loss::bernoulli("loss", *p),
            Self::Lab => Ok(Loss::Lab),
            Self::Bursts(bursts) => bursts.model().map(Loss::GilbertElliott),
            Self::Timed(timed) => timed.model().map(Loss::Timed),
            Self::Pattern(pattern) => Ok(Loss::Pattern(pattern.lost.clone())),
        }
    }
}

/// A delay as Python names it.
#[derive(Clone, PartialEq)]
pub(super) enum DelayArg {
    Fixed(f64),
    Uniform(Uniform),
    Normal(Normal),
    Exponential(Exponential),
    Pareto(Pareto),
    Quantiles(Quantiles),
}

impl Argument for DelayArg {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(delay) = Argument::read(name, given) {
            return Ok(Self::Uniform(delay));
        }
        if let Ok(delay) = Argument::read(name, given) {
            return Ok(Self::Normal(delay));
        }
        if let Ok(delay) = Argument::read(name, given) {
            return Ok(Self::Exponential(delay));
        }
        if let Ok(delay) = Argument::read(name, given) {
            return Ok(Self::Pareto(delay));
        }
        if let Ok(delay) = Argument::read(name, given) {
            return Ok(Self::Quantiles(delay));
        }
        let allowed = "a number of seconds from 0 to 3600, a Uniform, a Normal, an Exponential, a \
                       Pareto or a Quantiles";
        number_within(name, given, 0.0..=3600.0, allowed).map(Self::Fixed)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Fixed(seconds) => seconds.show(py),
            Self::Uniform(delay) => delay.show(py),
            Self::Normal(delay) => delay.show(py),
            Self::Exponential(delay) => delay.show(py),
            Self::Pareto(delay) => delay.show(py),
            Self::Quantiles(delay) => delay.show(py),
        }
    }
}

impl DelayArg {
    pub(super) fn model(&self) -> Result<Delay> {
        match self {
            Self::Fixed(0.0) => Ok(Delay::None),
            Self::Fixed(seconds) => Delay::Fixed(seconds * 1e9).checked(),
            Self::Uniform(delay) => delay.model(),
            Self::Normal(delay) => Delay::Normal(delay.mean.ns(), delay.deviation.ns()).checked(),
            Self::Exponential(delay) => Delay::Exponential(delay.mean.ns()).checked(),
            Self::Pareto(delay) => delay.model(),
            Self::Quantiles(delay) => delay.model(),
        }
    }
}
