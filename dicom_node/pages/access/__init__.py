"""Who may come in: accounts, sessions, roles, and what is refused before a page is asked.

- `accounts`: the accounts of the node's own users.
- `audited`: what visitors do, in the audit trail; of a flood the first ones and their number.
- `familiar_browsers`: browsers in which somebody signed in before, whose failed tries are counted
  by themselves.
- `gate`: all that access needs, in one place, as the application holds it.
- `guard`: what every page asks of a request: who is it, with what role, from our own form.
- `lockout`: growing pauses after failed tries to sign in, by account and address, or by familiar
  browser.
- `oidc`: signing in at an OpenID Connect issuer.
- `passwords`: hashing and checking passwords in even time, few at once.
- `proxy`: what a trusted proxy says of a visitor.
- `request_origin`: where a request comes from, by its headers.
- `sessions`: who is signed in, by the digest of a random token.
- `shield`: what holds for every answer: host names, size of the body, headers for browsers.
- `sign_in`: the pages for signing in and out, and a visitor's own account.
- `tokens`: random tokens by which browsers are known.
- `visitor`: who looks at a page.
"""
