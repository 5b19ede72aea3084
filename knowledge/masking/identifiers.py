"""Rules for what tells who a person is: addresses, phones, accounts, ids, passports, dates of birth, records.

``stdnum`` has the checksums and ``phonenumbers`` the plans of countries. A checksum is no precision: one of eleven
numbers has the right one. So bare digits count only near a word that tells what they are, in English, German or
Chinese, except for forms that are hardly anything else: cards, mobile numbers of China and its resident ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from stdnum import iban, luhn
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.eu import vat
from stdnum.exceptions import ValidationError
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.us import itin, ssn

from knowledge.masking.context import compile_words
from knowledge.masking.findings import Kind, Rule, count_if

_SEPARATORS = re.compile(r"[\s./-]")
_REGIONS: Final = ("US", "GB", "DE", "CN")  # the countries whose numbers are known without +
_SHORTEST_IBAN: Final = 15  # characters; Norway's
_FOUR_GROUPS: Final = 19  # characters

# ── Checks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_card(text: str) -> bool:
    return luhn.is_valid(_SEPARATORS.sub("", text))


def _count_card(text: str) -> int:
    """Accept groups of digits, or all but a fifth one, which may be the code on the back of a card."""
    return next((size for size in (len(text), _FOUR_GROUPS) if _is_card(text[:size])), 0)


def _match_iban(text: str) -> int:
    """Accept the longest valid beginning, because a word may follow it."""
    for size in range(len(text), _SHORTEST_IBAN - 1, -1):
        if text[size - 1].isalnum() and iban.is_valid(text[:size].replace("\n", ""), check_country=False):
            return size
    return 0


def _is_resident_id(text: str) -> bool:
    """Accept an id whose date of birth exists and whose check character is right; places may be old ones."""
    text = _SEPARATORS.sub("", text)
    try:
        ric.get_birth_date(text)
    except ValidationError:
        return False
    return ric.calc_check_digit(text.upper()) == text[-1].upper()


def _is_us_id(text: str) -> bool:
    digits = _SEPARATORS.sub("", text)
    return ssn.is_valid(digits) or itin.is_valid(digits)


def _sum_digits(numbers: list[int]) -> int:
    return sum(sum(divmod(one, 10)) for one in numbers)


def _spell_letter(text: str) -> list[int]:
    """Return the digits of a German number; its letter counts as the two digits of its place in the alphabet."""
    bare = _SEPARATORS.sub("", text).upper()
    return [int(one) for one in "".join(c if c.isdigit() else f"{ord(c) - 64:02}" for c in bare)]


def _is_german_pension_number(text: str) -> bool:
    """Accept a number with the right check digit (Versicherungsnummer, § 147 SGB VI)."""
    *digits, check = _spell_letter(text)
    factors = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    return _sum_digits([one * factor for one, factor in zip(digits, factors, strict=True)]) % 10 == check


def _is_german_health_number(text: str) -> bool:
    """Accept a number with the right check digit (Krankenversichertennummer, § 290 SGB V)."""
    *digits, check = _spell_letter(text[:10])  # the number of the insurer may follow
    return _sum_digits([one * (1 + place % 2) for place, one in enumerate(digits)]) % 10 == check


def _is_us_prescriber(text: str) -> bool:
    """Accept a number of the DEA with the right check digit."""
    digits = [int(one) for one in text[2:]]
    return (sum(digits[:6:2]) + 2 * sum(digits[1:6:2])) % 10 == digits[6]


def _is_passport(text: str) -> bool:
    return sum(one.isdigit() for one in text) > 3  # noqa: PLR2004 - a word has fewer


def _has_digits(least: int, most: int) -> Callable[[str], bool]:
    return lambda text: least <= sum(one.isdigit() for one in text) <= most


@lru_cache(maxsize=2_048)
def _is_listed_phone(text: str) -> bool:
    """Return whether a number with separators is valid somewhere and grouped as people write it there."""
    import phonenumbers  # noqa: PLC0415 - its plans take 100 ms

    def is_listed(region: str) -> bool:
        try:  # the matcher takes much longer for what is no number
            is_valid = phonenumbers.is_valid_number(phonenumbers.parse(text, region))
        except phonenumbers.NumberParseException:
            return False
        return is_valid and any(
            one.raw_string == text
            for one in phonenumbers.PhoneNumberMatcher(text, region, phonenumbers.Leniency.STRICT_GROUPING, 1)
        )

    return _has_digits(8, 15)(text) and not text.isdigit() and any(map(is_listed, _REGIONS))


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_PHONE_WORDS = compile_words(
    r"tel(?! aviv)|telephone|phones?|phone number|mobile|cell(?:phone)?|fax|whatsapp|sms|telefon\w*|handy\w*|mobil\w*"
    r"|(?:ruf|durchwahl|festnetz)\w*|hotline|(?:call|reach|text|ring|contact) (?:me|him|her|us|them)"
    r"|(?:erreichbar|zu erreichen|anrufen|rückruf)",
    r"电话|手机|传真|座机|致电|拨打|联系方式",
)
_TAX_WORDS = compile_words(
    r"ssn|social security|itin|tins?|tax(?:payer)?(?: (?:id\w*|number|no))?|steuer\w*|id-?nr|identifikationsnummer",
    r"社会安全号|社保号|税号|纳税人",
)
_NHS_WORDS = compile_words(r"nhs|national health|patient\w*|health service", r"国民医疗|患者|病人")
_NINO_WORDS = compile_words(r"nino|ni (?:number|no)|national insurance|nationalversicherung\w*", r"国民保险|社保")
_HEALTH_WORDS = compile_words(
    r"(?:kranken)?versicherten\w*|krankenversicher\w*|krankenkasse\w*|kvnr|kv-?nr|egk|gesundheitskarte\w*"
    r"|health insurance|insurance (?:id|number|no)",
    r"医保|医疗保险|保险号",
)
_FRENCH_WORDS = compile_words(
    r"nir|insee|s[ée]cu(?:rit[ée] sociale)?|num[ée]ro de s[ée]curit[ée]|social security|french|carte vitale"
    r"|sozialvers\w*",
    r"法国|社保|社会保险",
)
_SPANISH_WORDS = compile_words(r"dni|nif|nie|documento(?: nacional)?|identidad|spanish|spanisch\w*", r"西班牙|身份证")
_DUTCH_WORDS = compile_words(
    r"bsn|burgerservicenummer|sofi(?:nummer)?|citizen service number|dutch|niederländ\w*", r"荷兰|公民服务号"
)
_VAT_WORDS = compile_words(
    r"vat|ust(?:-?id\w*)?|umsatzsteuer\w*|tva|iva|btw|mwst|tax (?:id|number)|uid", r"增值税|税号"
)
_PROVIDER_WORDS = compile_words(r"npi|provider identifier|dea", r"医师编号")
_PASSPORT_WORDS = compile_words(r"passports?(?: (?:no|number|nr))?|reisepass\w*|pass-?(?:nr|nummer|no)", r"护照|通行证")
_BIRTH_WORDS = compile_words(
    r"born|dob|d\.o\.b\.?|date of birth|birth ?da(?:te|y)|geb|geboren\w*|geburts\w*",
    r"(?<![输导支])出生(?![成效产])|(?<![发产])生日|(?<![发产诞])生于",
)
_RECORD_WORDS = compile_words(
    r"mrn|medical record(?: (?:no|number|nr))?"
    r"|(?:patient|hospital|chart|case)(?: (?:id|no|number|nr)|-(?:id|no|nr)|_id)"
    r"|patienten-?(?:nr|nummer|id)|fall-?(?:nr|nummer)|akten(?:zeichen|-?nummer|-?nr)|krankenakten?\w*",
    r"病历号?|住院号|门诊号|就诊号|就诊卡号?|病案号|患者(?:编号|号|ID)|医保(?:卡)?号",
)
_ACCOUNT_WORDS = compile_words(
    r"bank account|account (?:no|number|nr)|iban|konto-?(?:nr|nummer)|bankverbindung|sort code|bank card|debit card"
    r"|credit card|kreditkarten?\w*|kartennummer",
    r"银行账[号户]|账号|银行卡号?|卡号|开户",
)

# ── Rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_LD = "[A-Za-z0-9]"
_LETTERS = r"\u00c0-\u1fff"  # of scripts that have blanks between words
_CARD = r"(?:2[2-7]|[3-6]\d)\d\d"
_BEFORE_CARD = r"(?<![\dA-Za-z.-])"
_MONTH = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?"
    r"|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
_DATE = (
    r"(?:(?:18|19|20)\d\d ?[-/.年] ?(?:1[0-2]|0?[1-9]) ?[-/.月] ?(?:3[01]|[12]\d|0?[1-9])日?"
    r"|(?:3[01]|[12]\d|0?[1-9]) ?[./-] ?(?:3[01]|[12]\d|0?[1-9]) ?[./-] ?(?:18|19|20)?\d\d"
    r"|(?:18|19|20)\d\d(?:1[0-2]|0[1-9])(?:3[01]|[12]\d|0[1-9])"
    rf"|(?i:(?:3[01]|[12]\d|0?[1-9])(?:\.|st|nd|rd|th)?(?: of)?[ /-]?{_MONTH}\.?,?[ /-]?(?:18|19|20)\d\d)"
    rf"|(?i:{_MONTH}\.? (?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?,? (?:18|19|20)\d\d))"
)
_OPEN = r"(?:\((?=\+?\d{1,5}\)))?"  # the parenthesis of an area code, not one around the number
_VERSION_PRICE_OR_YEARS = re.compile(
    r"(?:\d+\.)?\d\.\d{1,2}(?:\D|\Z)|[\d ]+\.\d\d\Z|(?:(?:19|20)\d\d\D{1,3})+(?:19|20)\d\d\Z"
)
_NO_DATE = r"(?!\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./]\d{4})"


def _make_rule(
    kind: Kind,
    pattern: str,
    is_valid: Callable[[str], bool] | None = None,
    context: re.Pattern[str] | None = None,
    *,
    bare_only: bool = False,
) -> Rule:
    r"""Return a rule for a number; with ``bare_only`` its separators are as good as a word.

    In ``[\w…]``, ``\w`` has no _, which may be Slack's mark of italics.
    """
    pattern = pattern.replace(r"[\w", r"[A-Za-z\d")
    check = len if is_valid is None else count_if(is_valid)
    return Rule(
        kind, re.compile(pattern, re.ASCII), check, "", is_number=True, context=context, needs_context=not bare_only
    )


IDENTIFIERS: Final[tuple[Rule, ...]] = (
    Rule(
        Kind.EMAIL,
        re.compile(
            rf"[\w{_LETTERS}.+%'-]{{1,64}}@[\w{_LETTERS}-]{{1,63}}(?:[.。][\w{_LETTERS}-]{{1,63}}){{0,7}}"
            rf"[.。][A-Za-z{_LETTERS}][\w{_LETTERS}-]{{1,62}}",
            re.ASCII,
        ),
        hint="@",
    ),
    # ── Accounts
    _make_rule(Kind.CARD, rf"{_BEFORE_CARD}{_CARD}\d{{9,15}}(?![.-]?\d)", _is_card),
    Rule(  # it looks ahead, because other digits may stand before a card
        Kind.CARD,
        re.compile(
            rf"{_BEFORE_CARD}(?=(?P<secret>{_CARD}(?:[ \n-]\d{{4}}){{2}}[ \n-]\d{{1,4}}(?:[ \n-]\d{{3}})?)(?!-?\d))",
            re.ASCII,
        ),
        _count_card,
        is_number=True,
    ),
    _make_rule(Kind.CARD, r"(?<![\d.-])3[47]\d\d[ \n-]\d{6}[ \n-]\d{5}(?!-?\d)", _is_card),
    Rule(
        Kind.ACCOUNT,
        re.compile(
            rf"(?<!{_LD})[A-Za-z]{{2}}\d{{2}}(?:[ \n-]?{_LD}{{4}}){{2,7}}(?:[ \n-]?{_LD}{{1,3}})?(?!{_LD})", re.ASCII
        ),
        _match_iban,
        is_number=True,
    ),
    _make_rule(
        Kind.ACCOUNT, rf"(?<![\w.-]){_NO_DATE}\d(?:[ -]?\d){{6,18}}(?![\w-])", _has_digits(7, 19), _ACCOUNT_WORDS
    ),
    # ── Ids
    _make_rule(Kind.ID, r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])"),
    _make_rule(Kind.ID, r"(?<![\w-])9\d\d-(?:[79]\d|8[0-8])-\d{4}(?![\w-])"),
    _make_rule(Kind.ID, r"(?<![\w.-])\d{3}( ?)\d\d\1\d{4}(?![\w-])", _is_us_id, _TAX_WORDS),
    _make_rule(
        Kind.ID, r"(?<!\d)[1-9]\d{5}(?P<gap>[ -]?)(?:18|19|20)\d{6}(?P=gap)\d{3}[\dXx](?![\dA-Za-z])", _is_resident_id
    ),
    _make_rule(
        Kind.ID,
        r"(?<![\w.-])\d{3}(?P<gap>[ -]?)\d{3}(?P=gap)\d{4}(?![\w-])",
        nhs.is_valid,
        _NHS_WORDS,
        bare_only=True,
    ),
    _make_rule(
        Kind.ID,
        r"(?<![\w])(?!BG|GB|KN|NK|NT|TN|ZZ)"
        r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?P<gap> ?)(?:\d\d(?P=gap)){3}[A-D](?![\w])",
        None,
        _NINO_WORDS,
        bare_only=True,
    ),
    _make_rule(Kind.ID, r"(?<![\w])[A-Z]{2} ?(?:\d\d ?){3}[A-Z](?![\w])", None, _NINO_WORDS),  # temporary ones, too
    _make_rule(
        Kind.ID,
        r"(?<![\w.-])[1-9]\d(?P<gap>[ /]?)\d{3}(?P=gap)\d{3}(?P=gap)\d{3}(?![\w-])",
        idnr.is_valid,
        _TAX_WORDS,
        bare_only=True,
    ),
    _make_rule(
        Kind.ID,
        r"(?<![\w])\d\d ?(?:0[1-9]|[1-9]\d)\d{4} ?[A-Z] ?\d{3}(?![\w])",
        _is_german_pension_number,
    ),
    _make_rule(Kind.ID, r"(?<![\w/])\d{2,3}/\d{3,4}/\d{4,5}(?![\w/])", None, _TAX_WORDS),  # German tax offices
    _make_rule(Kind.ID, r"(?<![\w])[A-Z]\d{9}(?:\d{10})?(?![\w])", _is_german_health_number, _HEALTH_WORDS),
    _make_rule(
        Kind.ID,
        r"(?<![\w.-])[12]"
        r"(?P<gap> ?)\d\d(?P=gap)\d\d(?P=gap)(?:\d\d|2[AB])(?P=gap)\d{3}(?P=gap)\d{3}(?P=gap)\d\d(?![\w])",
        nir.is_valid,
        _FRENCH_WORDS,
        bare_only=True,
    ),
    _make_rule(Kind.ID, r"(?<![\w.])\d{8}-?[A-Z](?![\w])", dni.is_valid, _SPANISH_WORDS),
    _make_rule(Kind.ID, r"(?<![\w])[XYZ]-?\d{7}-?[A-Z](?![\w])", nie.is_valid),
    _make_rule(
        Kind.ID,
        r"(?<![\w])(?i:[A-Z]{6}[\dLMNP-V]{2}[ABCDEHLMPRST][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z])(?![\w])",
        codicefiscale.is_valid,
    ),
    _make_rule(Kind.ID, r"(?<![\w.-])\d{4}[. ]?\d\d[. ]?\d{3}(?![\w-])", bsn.is_valid, _DUTCH_WORDS),
    _make_rule(
        Kind.ID,
        r"(?<![\w])[A-Z]{2}U?[ -]?(?:[A-Z0-9]{2} ?)?\d(?:[ .]?[A-Z0-9]){6,11}(?![\w])",
        vat.is_valid,
        _VAT_WORDS,
    ),
    _make_rule(Kind.ID, r"(?<![\w])[A-Z]{2}\d{7}(?![\w])", _is_us_prescriber, _PROVIDER_WORDS),
    _make_rule(Kind.ID, r"(?<![\w.-])[12]\d{9}(?![\w-])", lambda text: luhn.is_valid(f"80840{text}"), _PROVIDER_WORDS),
    # ── Passports, and their machine-readable lines
    _make_rule(
        Kind.PASSPORT,
        r"(?<![\w])(?:[A-Z]{0,2}\d{6,9}|[A-Z][A-Z0-9]{8})(?![\w])",
        _is_passport,
        _PASSPORT_WORDS,
    ),
    Rule(
        Kind.PASSPORT,
        re.compile(r"(?<![A-Z0-9<])[PIAC][A-Z<][A-Z<]{3}(?=[A-Z<]{0,39}<<)[A-Z<]{25,39}(?![A-Z0-9<])"),
        hint="<",
    ),
    Rule(
        Kind.PASSPORT,
        re.compile(r"(?<![A-Z0-9<])[A-Z0-9<]{9}\d[A-Z<]{3}\d{7}[MFX<]\d{7}[A-Z0-9<]{14}[\d<]\d(?![A-Z0-9<])"),
        hint="<",
    ),
    # ── Phones
    _make_rule(
        Kind.PHONE,  # over the end of a line only if it is not complete before
        r"(?<![\w+])\+[1-9](?:(?:[ ().\-/]{0,3}\d){7,14}|(?:[ \n().\-/]{0,3}\d){7,14})(?!\d)",
        _has_digits(8, 15),
    ),
    _make_rule(Kind.PHONE, r"(?<!\d)(?<!\d[.-])00[1-9](?:[ \-/]?\d){8,13}(?!\.?\d)", _has_digits(8, 15)),
    _make_rule(
        Kind.PHONE,
        r"(?<![\dA-Za-z])(?<!\d[.-])(?:86[ -]?)?1[3-9]\d(?P<gap>[ -]?)\d{4}(?P=gap)\d{4}(?![.-]?\d)"
        r"(?! ?(?:[KMGT]i?B|bytes?|bits?|[mnuµ]?s|rows?|tokens?)(?![A-Za-z]))",
        lambda text: int(_SEPARATORS.sub("", text)) % 2**16 > 0,  # else it is a size of memory
    ),
    _make_rule(
        Kind.PHONE,
        r"(?<![\w.-])0\d{1,4}[ /-]\d{3,4}(?:[ -]?\d{2,4}){1,2}(?![.-]?[\w])",
        _has_digits(9, 12),  # with the leading 0; fewer may be a date
    ),
    _make_rule(Kind.PHONE, r"\(0?\d{2,4}\)[ -]?\d{3,4}[ .-]?\d{4}(?!\d)"),
    _make_rule(Kind.PHONE, r"(?<![\w.-])[2-9]\d\d(?P<gap>[.-])[2-9]\d\d(?P=gap)\d{4}(?![.-]?[\w])"),
    _make_rule(
        Kind.PHONE,
        rf"(?<![\w.-])(?<!\d[ /-]){_NO_DATE}{_OPEN}\d(?:[ ()/-]{{1,3}}\d|\d){{7,14}}(?![ ()/-]{{0,3}}\d)(?![\w])",
        _is_listed_phone,
    ),
    _make_rule(
        Kind.PHONE,
        rf"(?<![\w.])(?<!\d-){_NO_DATE}{_OPEN}\+?\d(?:[ ()/.-]{{0,3}}\d){{5,14}}(?:x\d{{1,6}})?(?!\d)",
        lambda text: _has_digits(6, 21)(text) and not _VERSION_PRICE_OR_YEARS.match(text),
        _PHONE_WORDS,
    ),
    # ── Dates of birth and records
    _make_rule(Kind.BIRTH_DATE, rf"(?<![\w.-]){_DATE}(?!(?!T\d\d:)[\w-])", None, _BIRTH_WORDS),
    _make_rule(
        Kind.RECORD,
        rf"(?<![\w.-]){_NO_DATE}(?:[A-Z]{{1,4}}[-/]?)?\d(?:[-/]?\d){{3,14}}(?![\w-])",
        _has_digits(4, 15),
        _RECORD_WORDS,
    ),
    _make_rule(Kind.RECORD, r"(?<![\w])MRN[-/]?\d(?:[-/]?\d){3,14}(?![\w-])"),
)
"""In the order in which they are tried; where two touch, the first one names the kind."""
