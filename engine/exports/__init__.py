"""What an export is made of. The door is `engine.export`; each file here is one stage of the way from a journal to a data set.

    example      a record with all that a format may tell of it
    choose       which records, and on which side of the split
    gather       the chosen records of a run, put by once, with figures of them
    rows         a record as a row: alpaca, chat, sharegpt, prompt_completion, jsonl, self_instruct
    finetune     rows as the published fine-tuning took them, from templates
    sheet        rows for a reviewer's spreadsheet
    encode       rows as bytes: JSON, JSON lines, CSV, Parquet
    formats      the table of all formats
    card         what a data set says of itself
    write        files that appear whole or not at all

A new format is a function in `rows` and a line in `formats`.
"""
