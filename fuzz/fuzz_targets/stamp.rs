#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| udpulse_fuzz::run("stamp", data));
