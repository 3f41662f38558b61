#![no_main]

libfuzzer_sys::fuzz_target!(init: signatures_fuzz::start("layouts"), |data: &[u8]| {
    signatures_fuzz::targets::run("layouts", data);
});
