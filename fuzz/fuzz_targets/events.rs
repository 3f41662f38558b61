#![no_main]

libfuzzer_sys::fuzz_target!(init: signatures_fuzz::start("events"), |data: &[u8]| {
    signatures_fuzz::targets::run("events", data);
});
