//! The fuzz targets on their seeds and on changes of them, without a fuzzer.

use std::error::Error;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use udpulse::Random;

/// The bodies of the targets, which `fuzz/` runs with libFuzzer.
#[path = "../fuzz/src/lib.rs"]
pub mod fuzz;

/// How many changes of each seed are tried.
const CHANGES: u64 = 12;

type Done = Result<(), Box<dyn Error>>;

/// Runs a target on the seeds of its folder.
fn replay(target: &str) -> Done {
    for seed in fs::read_dir(Path::new("fuzz/seeds").join(target))? {
        let path = seed?.path();
        let whole = fs::read(&path)?;
        hold(target, &path, &whole)?;
        for number in 0..CHANGES {
            let mut random = Random::stream(number, &[whole.len() as u64]);
            hold(target, &path, &changed(&whole, &mut random))?;
        }
    }
    Ok(())
}

/// Runs a target on data made of a seed.
fn hold(target: &str, seed: &Path, data: &[u8]) -> Done {
    let name = target.to_owned();
    let copy = data.to_vec();
    catch_unwind(move || fuzz::run(&name, &copy))
        .map_err(|_| format!("{target} fails on data made of {}: {data:?}", seed.display()).into())
}

/// Returns a seed with some bytes changed, left out or doubled.
fn changed(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(4) {
        let place = below(random, data.len() + 1);
        match random.below(4) {
            0 => data.truncate(place),
            1 => data.insert(place, random.below(256).to_le_bytes()[0]),
            2 => data.extend_from_within(place..),
            _ => {
                if let Some(byte) = data.get_mut(place) {
                    *byte = random.below(256).to_le_bytes()[0];
                }
            }
        }
    }
    data
}

fn below(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.below(end as u64)).unwrap_or_default()
}

#[test]
fn each_target_is_a_program() -> Done {
    let manifest = fs::read_to_string("fuzz/Cargo.toml")?;
    for (target, _) in fuzz::TARGETS {
        let path = format!("fuzz_targets/{target}.rs");
        assert!(manifest.contains(&format!("name = \"{target}\"\npath = \"{path}\"")), "{target}");
        let program = fs::read_to_string(Path::new("fuzz").join(path))?;
        assert!(program.contains(&format!("udpulse_fuzz::run(\"{target}\", data)")), "{program}");
    }
    let programs = fs::read_dir("fuzz/fuzz_targets")?.count();
    let folders = fs::read_dir("fuzz/seeds")?.count();
    assert_eq!([programs, folders], [fuzz::TARGETS.len(); 2]);
    Ok(())
}

#[test]
fn seeds_hold() -> Done {
    fuzz::TARGETS.iter().try_for_each(|(target, _)| replay(target))
}
