#![no_main]

libfuzzer_sys::fuzz_target!(init: signatures_fuzz::start("sources"), |data: &[u8]| {
    signatures_fuzz::targets::run("sources", data);
});
