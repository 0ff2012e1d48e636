"""What nginx works out about a request before it decides: who asks, from which page, with which session.

Used by render.nginx, once for all servers. A map costs nothing until a request needs its value.
"""

from __future__ import annotations

from carrel.core import edge as rules
from carrel.render import pages

PAGES = "/.carrel/"
"""Where our own pages are, for internal redirects only: no path of a workspace is shadowed."""


def maps(known: str = "") -> str:
    """All of them, in nginx's http context. `known`: where those stand who are known by name."""
    return "".join((_connection(), _origin(), _session(), _sign_in(), "\n", known, _pages()))


def _connection() -> str:
    return """
# WebSockets and nothing else: no other protocol may hide in a connection that nginx no longer reads.
map $http_upgrade $carrel_upgrade {
    default "";
    ~*^websocket$ websocket;
}
map $carrel_upgrade $carrel_connection {
    default "";
    websocket upgrade;
}
"""


def _origin() -> str:
    return r"""
# The name as it was asked for, with its port, which `$host` has not. That it is a name of ours is
# decided by server_name; gixy, which judges every configuration on NixOS, cannot know that.
map $http_host $carrel_host {
    default $http_host;
}
# Which page asks: the desk's own, compared whole with scheme and port, or another.
map "$scheme://$carrel_host $http_origin" $carrel_origin {
    default other;
    "~^(\S+) \1$" same;
    "~ $" unsaid;
}
map "$request_method $uri $carrel_upgrade" $carrel_intent {
    default write;
    "~ websocket$" upgrade;
    "~*^GET /+logout" write;
    "~^(GET|HEAD|OPTIONS) " read;
}
# Browsers name the page whenever they write; what does not is no browser, unless it says otherwise.
map "$carrel_intent $carrel_origin $http_sec_fetch_site" $carrel_foreign {
    default "";
    "~^(write|upgrade) other " 1;
    "~^upgrade unsaid " 1;
    "~^write unsaid (same|cross)-site$" 1;
}
"""


def _session() -> str:
    name = rules.SESSION_COOKIE
    return rf"""
# The session goes by another name in the browser, one that only this host can have set. It comes
# first, because code-server takes the first of two, and is never passed on under its own name.
map "$carrel_jar $http_cookie" $carrel_cookies {{
    default "{name}=; $http_cookie";
    "~^\S+ $" "";
    "~^(\S+) (?<carrel_before>(?:.*; ?)?)\1=(?<carrel_value>[^;]*)(?:; ?(?<carrel_after>.*))?$"
        "{name}=$carrel_value; $carrel_before$carrel_after";
}}
map $scheme $carrel_secure {{
    default "";
    https "; Secure";
}}
map $upstream_http_set_cookie $carrel_new_session {{
    default "";
    "~^{name}=(?<carrel_fresh>[^;]+)"
        "$carrel_jar=$carrel_fresh; Path=/; HttpOnly; SameSite=Lax$carrel_secure";
    "~^{name}=;" "$carrel_jar=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax$carrel_secure";
}}
# So many that somebody else must be filling the browser with them.
map $http_cookie $carrel_flood {{
    default "";
    "~^.{{{rules.LONGEST_COOKIES}}}" 1;
}}
"""


def _sign_in() -> str:
    return rf"""
# Only sign-in attempts count, per address and host: nobody else's desk is locked. Whoever has one
# address of IPv6 has 2^64 of them.
map $binary_remote_addr $carrel_address {{
    default $binary_remote_addr;
    "~(?s)^(?<carrel_network>.{{8}}).{{8}}$" $carrel_network;
}}
map $request_method $carrel_attempt {{
    default "";
    POST "$carrel_address $host";
}}
limit_req_zone $carrel_attempt zone=carrel_login:1m rate={rules.LOGIN_ATTEMPTS_PER_MINUTE}r/m;

# code-server answers a wrong password with the form again.
map "$request_method $status" $carrel_refused {{
    default "";
    "POST 200" 1;
}}
log_format carrel_sign_in "sign-in refused: user=$carrel_user address=$remote_addr";
"""


def _pages() -> str:
    return f"""
map $uri $carrel_retry {{
    default "";
    {PAGES}unavailable.html {pages.RETRY_SECONDS};
    {PAGES}too-many-attempts.html {60 // rules.LOGIN_ATTEMPTS_PER_MINUTE};
}}
"""
