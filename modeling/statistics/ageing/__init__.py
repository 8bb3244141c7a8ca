"""HU against age, compared between people and not followed in any.

- `age_by_sex`: whether women's and men's HU differ by age at another rate.
- `declines`: straight lines of HU against age, by tissue, sex and stage.
"""
