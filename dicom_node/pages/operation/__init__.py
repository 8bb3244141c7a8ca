"""What the administrator sees and does: work, acquisition rules, destinations.

- `destination_results`: what became of the objects for each destination.
- `destinations_page`: ``/destinations``, and the C-ECHO.
- `node_status`: the node's status and its failed work, read once for all visitors.
- `notices_page`: ``/work/notices``, and the test notice.
- `removals`: what retention removes next, and what of a study may be removed by hand.
- `rule_trial`: each rule's verdict on a series, whatever the others say.
- `rule_words`: the rules as they stand, in the words of the texts.
- `rules_page`: ``/rules``, and the test of a header or a received study.
- `rules_pool`: headers are read and judged in a child process.
- `work_page`: ``/work``, retry and discard.
"""
