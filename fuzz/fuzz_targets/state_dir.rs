#![no_main]
shardwright_fuzz::target!("state_dir");
