#![no_main]

libfuzzer_sys::fuzz_target!(init: signatures_fuzz::start("tokens"), |data: &[u8]| {
    signatures_fuzz::targets::run("tokens", data);
});
