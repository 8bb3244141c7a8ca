"""What a reader reads: the same words on every output.

- `call_words`: what the model's calls are worth among patients of the stated prevalence.
- `document_words`: the words of the report's pages, free of the names that only programs use.
- `identity_words`: patient and study of a header, as a page prints them.
- `comparison_words`: before and now in words: a line for each vertebra, or why nothing is compared.
- `impression`: the verdict for a reader: at most three sentences and 60 words.
- `level_words`: how the levels were named, in words.
- `reading_words`: what a reader said of a report.
- `reference_words`: blood, psoas and fat as internal references, and the contrast phase.
- `refusal_words`: what would help: a sentence for each reason why a scan was not analysed.
- `report_text`: the case report in plain text, for a terminal or a log reader.
- `result_kind`: what kind of result a scan led to.
- `screening_scope`: whether a scan that was not analysed was meant for this node at all.
- `site_words`: sites, model inputs and reasons in a radiologist's words.
- `thresholds`: the published thresholds of L1.
- `warning_words`: every warning that a report can carry: its code and its words.
"""
