"""What the edge's pages and the sign-in form say, in every language that Carrel speaks.

Used by render.pages. No markup: `{…}` is filled with markup that is already safe. A new language is one
more value of `Words`, and the tests hold it to the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass

from carrel.core.site import Language


@dataclass(frozen=True, slots=True)
class Page:
    """What one page says, top to bottom."""

    title: str
    heading: str
    lead: str
    hint: str
    ask: str
    action: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """What code-server's own form says."""

    title: str
    heading: str
    lead: str
    instruction: str
    password: str
    action: str
    missing: str
    wrong: str
    wait: str


@dataclass(frozen=True, slots=True)
class Words:
    """All that is said, in one language."""

    lang: str
    operator: str
    """Whom to ask where the configuration names nobody."""
    label: str
    bad_name: str
    address: str
    sample_name: str
    without_script: str
    welcome: Page
    not_found: Page
    unavailable: Page
    too_many_attempts: Page
    cookies: Page
    sign_in: SignIn


ENGLISH = Words(
    lang="en",
    operator="your operator, the person who runs {site} for your team",
    label="Your name",
    bad_name="A name starts with a letter and has only letters a to z and digits, 24 at most.",
    address="Your desk is at {address}",
    sample_name="name",
    without_script="Type this address into your browser, with your own name at the start.",
    welcome=Page(
        title="Welcome",
        heading="A quiet desk of your own",
        lead="{site} gives everyone on the team a private place to write code. "
        "It opens in your browser, and there is nothing to install.",
        hint="Inside you will find VS Code, your files and an AI assistant to help you.",
        ask="No name or password yet? Ask {operator}.",
        action="Go to my desk",
    ),
    not_found=Page(
        title="Nothing opens here",
        heading="Nothing opens at this address",
        lead="It may be mistyped, or it may not be in use.",
        hint="Check the spelling. The address of a desk looks like {address}",
        ask="Still no luck? Ask {operator}.",
        action="Start again",
    ),
    unavailable=Page(
        title="One moment",
        heading="Your desk is not ready yet",
        lead="It is starting, or it is resting. You can leave this page open: "
        "it tries again by itself every {seconds} seconds.",
        hint="Not the desk you meant? Start again at {home}",
        ask="Still here after two minutes? Ask {operator}.",
        action="Try now",
    ),
    too_many_attempts=Page(
        title="Too many tries",
        heading="Time for a short pause",
        lead="There were too many tries to sign in. Please wait a minute, then try again.",
        hint="The pause keeps others from guessing your password. Nothing is broken.",
        ask="Forgotten your password? For a new one, ask {operator}.",
        action="Back to sign in",
    ),
    cookies=Page(
        title="Too many cookies",
        heading="Your browser brought too many cookies",
        lead="Another page of this domain has filled your browser with them. "
        "They are being thrown away, and your own sign-in stays.",
        hint="If this page comes back, delete the cookies of this address in your browser's settings.",
        ask="It happens again and again? Tell {operator}.",
        action="Try again",
    ),
    sign_in=SignIn(
        title="Sign in",
        heading="Sign in to {app}",
        lead="This desk is private.",
        instruction="Type the password that your operator gave you.",
        password="Password",  # noqa: S106 - the name of a field
        action="Sign in",
        missing="Please type your password first.",
        wrong="That is not the right password. Please try again.",
        wait="Too many attempts. Please wait a minute, then try again.",
    ),
)

GERMAN = Words(
    lang="de",
    operator="die Person, die {site} für Ihr Team betreibt",
    label="Ihr Name",
    bad_name="Ein Name beginnt mit einem Buchstaben und hat nur Buchstaben von a bis z und Ziffern, "
    "höchstens 24.",
    address="Ihr Schreibtisch steht unter {address}",
    sample_name="name",
    without_script="Geben Sie diese Adresse in Ihren Browser ein, mit Ihrem Namen am Anfang.",
    welcome=Page(
        title="Willkommen",
        heading="Ein ruhiger Schreibtisch nur für Sie",
        lead="{site} gibt allen im Team einen eigenen Ort, um Programme zu schreiben. "
        "Er öffnet sich im Browser, zu installieren ist nichts.",
        hint="Dort finden Sie VS Code, Ihre Dateien und einen KI-Assistenten, der Ihnen hilft.",
        ask="Noch kein Name oder Passwort? Fragen Sie {operator}.",
        action="Zu meinem Schreibtisch",
    ),
    not_found=Page(
        title="Hier öffnet sich nichts",
        heading="Unter dieser Adresse öffnet sich nichts",
        lead="Vielleicht ist sie vertippt, vielleicht gibt es sie nicht.",
        hint="Prüfen Sie die Schreibweise. Die Adresse eines Schreibtischs sieht so aus: {address}",
        ask="Immer noch nichts? Fragen Sie {operator}.",
        action="Von vorn",
    ),
    unavailable=Page(
        title="Einen Moment",
        heading="Ihr Schreibtisch ist noch nicht bereit",
        lead="Er startet, oder er ruht. Lassen Sie diese Seite ruhig offen: "
        "Sie versucht es alle {seconds} Sekunden von selbst wieder.",
        hint="Nicht der Schreibtisch, den Sie meinten? Von vorn geht es bei {home}",
        ask="Nach zwei Minuten immer noch hier? Fragen Sie {operator}.",
        action="Jetzt versuchen",
    ),
    too_many_attempts=Page(
        title="Zu viele Versuche",
        heading="Zeit für eine kurze Pause",
        lead="Es gab zu viele Versuche, sich anzumelden. Bitte warten Sie eine Minute.",
        hint="Die Pause hindert andere daran, Ihr Passwort zu erraten. Kaputt ist nichts.",
        ask="Passwort vergessen? Um ein neues bitten Sie {operator}.",
        action="Zurück zur Anmeldung",
    ),
    cookies=Page(
        title="Zu viele Cookies",
        heading="Ihr Browser hat zu viele Cookies mitgebracht",
        lead="Eine andere Seite dieser Domain hat Ihren Browser damit gefüllt. "
        "Sie werden gerade weggeworfen; angemeldet bleiben Sie.",
        hint="Kommt diese Seite wieder, löschen Sie die Cookies dieser Adresse in den Einstellungen "
        "des Browsers.",
        ask="Es passiert immer wieder? Wenden Sie sich an {operator}.",
        action="Noch einmal",
    ),
    sign_in=SignIn(
        title="Anmelden",
        heading="Anmelden bei {app}",
        lead="Dieser Schreibtisch ist privat.",
        instruction="Geben Sie das Passwort ein, das Sie bekommen haben.",
        password="Passwort",  # noqa: S106 - the name of a field
        action="Anmelden",
        missing="Bitte geben Sie zuerst Ihr Passwort ein.",
        wrong="Das ist nicht das richtige Passwort. Bitte versuchen Sie es noch einmal.",
        wait="Zu viele Versuche. Bitte warten Sie eine Minute und versuchen Sie es dann wieder.",
    ),
)

LANGUAGES = {Language.ENGLISH: ENGLISH, Language.GERMAN: GERMAN}


def of(language: Language) -> Words:
    """What is said in `language`."""
    return LANGUAGES[language]
