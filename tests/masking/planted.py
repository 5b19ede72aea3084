"""Sentences with planted personal data, in English, German and Chinese.

The patterns were tuned on the sentences of ``TUNING`` alone. Figures are measured on those of ``HELD_OUT``, which were
written without looking at results.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from faker import Faker
from stdnum import luhn
from stdnum.gb import nhs
from stdnum.iso7064 import mod_11_10

from knowledge.masking import PRIVATE, NameIndex, Recogniser

Make = Callable[[Faker, random.Random], str]


@dataclass(frozen=True)
class Planted:
    """A sentence with one planted value."""

    kind: str
    locale: str
    text: str
    value: str

    def is_found(self, recogniser: Recogniser, names: Collection[str] = ()) -> bool:
        """Return whether one finding covers the whole value."""
        start = self.text.index(self.value)
        found = recogniser.find(self.text, PRIVATE, NameIndex(names))
        return any(one.start <= start and one.end >= start + len(self.value) for one in found)


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def make_nhs(_fake: Faker, chance: random.Random) -> str:
    while True:
        digits = f"{chance.randrange(4_000_000_000, 7_999_999_999)}"
        if nhs.is_valid(digits):
            return digits if chance.random() < 0.5 else nhs.format(digits)


def make_idnr(_fake: Faker, chance: random.Random) -> str:
    digits = chance.sample("0123456789", 10)
    digits[-1] = digits[0]  # one digit stands twice, the others once
    if digits[0] == "0":
        digits[0] = digits[-1] = next(one for one in "123456789" if one not in digits)
    first = "".join(digits)
    whole = first + mod_11_10.calc_check_digit(first)
    return whole if chance.random() < 0.5 else f"{whole[:2]} {whole[2:5]} {whole[5:8]} {whole[8:]}"


def make_npi(_fake: Faker, chance: random.Random) -> str:
    first = f"1{chance.randrange(10**8):08}"
    return first + luhn.calc_check_digit(f"80840{first}")


def make_ssn(fake: Faker, chance: random.Random) -> str:
    ssn = fake.ssn()
    return ssn if chance.random() < 0.5 else ssn.replace("-", "")


def make_card(fake: Faker, chance: random.Random) -> str:
    digits = fake.credit_card_number("mastercard" if chance.random() < 0.5 else "visa16")
    return digits if chance.random() < 0.5 else " ".join(digits[at : at + 4] for at in range(0, 16, 4))


def make_bank_card(_fake: Faker, chance: random.Random) -> str:
    first = f"62{chance.randrange(10**16):016}"
    return first + luhn.calc_check_digit(first)


def make_iban(fake: Faker, chance: random.Random) -> str:
    iban = fake.iban()
    return iban if chance.random() < 0.5 else " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))


def make_date(fake: Faker, chance: random.Random) -> str:
    born = fake.date_of_birth(minimum_age=1, maximum_age=95)
    return chance.choice([f"{born:%Y-%m-%d}", f"{born:%d.%m.%Y}", f"{born:%m/%d/%Y}", f"{born:%d %B %Y}"])


def make_chinese_date(fake: Faker, chance: random.Random) -> str:
    born = fake.date_of_birth(minimum_age=1, maximum_age=95)
    return chance.choice([f"{born.year}年{born.month}月{born.day}日", f"{born:%Y-%m-%d}", f"{born:%Y%m%d}"])


def make_passport(_fake: Faker, chance: random.Random) -> str:
    return (
        chance.choice("CFGHJK")
        + "".join(chance.choices("0123456789CFGHJKLMNPRTVWXYZ", k=2))
        + (f"{chance.randrange(10**6):06}")
    )


def make_chinese_passport(_fake: Faker, chance: random.Random) -> str:
    return f"{chance.choice(['E', 'G', 'EA', 'EB'])}{chance.randrange(10**8):08}"[:9]


def make_record(_fake: Faker, chance: random.Random) -> str:
    return chance.choice(["", "A", "KH-", "P"]) + f"{chance.randrange(10**5, 10**8)}"


CHECKED: Mapping[str, tuple[str, Make]] = {
    "US social security": ("en_US", make_ssn),
    "US taxpayer (ITIN)": ("en_US", lambda fake, _: fake.itin()),
    "US prescriber (NPI)": ("en_US", make_npi),
    "UK NHS": ("en_GB", make_nhs),
    "German pension": ("de_DE", lambda fake, _: fake.rvnr()),
    "German health": ("de_DE", lambda fake, _: fake.kvnr()),
    "German tax": ("de_DE", make_idnr),
    "Chinese resident": ("zh_CN", lambda fake, _: fake.ssn()),
    "Chinese bank card": ("zh_CN", make_bank_card),
    "French NIR": ("fr_FR", lambda fake, _: fake.ssn()),
    "Spanish NIE": ("es_ES", lambda fake, _: fake.nie()),
    "Italian codice fiscale": ("it_IT", lambda fake, _: fake.ssn()),
    "Dutch BSN": ("nl_NL", lambda fake, _: fake.ssn()),
    "card, English": ("en_US", make_card),
    "card, German": ("de_DE", make_card),
    "IBAN, English": ("en_GB", make_iban),
    "IBAN, German": ("de_DE", make_iban),
}
"""Kinds with a checksum, or with the fixed ranges of US numbers."""
CONTEXT: Mapping[str, tuple[str, Make]] = {
    "UK national insurance": ("en_GB", lambda fake, _: fake.ssn()),
    "e-mail": ("en_US", lambda fake, _: fake.email()),
    "phone, US": ("en_US", lambda fake, _: fake.phone_number()),
    "phone, UK": ("en_GB", lambda fake, _: fake.phone_number()),
    "phone, German": ("de_DE", lambda fake, _: fake.phone_number()),
    "phone, Chinese": ("zh_CN", lambda fake, _: fake.phone_number()),
    "date of birth, English": ("en_US", make_date),
    "date of birth, German": ("de_DE", make_date),
    "date of birth, Chinese": ("zh_CN", make_chinese_date),
    "passport, English": ("en_GB", make_passport),
    "passport, German": ("de_DE", make_passport),
    "passport, Chinese": ("zh_CN", make_chinese_passport),
    "record, English": ("en_US", make_record),
    "record, German": ("de_DE", make_record),
    "record, Chinese": ("zh_CN", make_record),
}
"""Kinds that are known by their form and the words around them."""
NAMES: Mapping[str, tuple[str, Make]] = {
    f"name, {locale}": (locale, lambda fake, _: f"{fake.first_name()} {fake.last_name()}")
    for locale in ("en_US", "en_GB", "de_DE")
} | {"name, zh_CN": ("zh_CN", lambda fake, _: fake.name())}

# ── Sentences ────────────────────────────────────────────────────────────────────────────────────────────────────────

TUNING: Mapping[str, Sequence[str]] = {
    "US social security": ["My SSN is {}, is the form right?", "social security number {} was rejected by payroll"],
    "US taxpayer (ITIN)": ["The ITIN {} belongs to our contractor."],
    "US prescriber (NPI)": ["Dr. Hale's NPI {} is not accepted."],
    "UK NHS": ["NHS number {} needs a new referral", "Can you look up the patient with NHS no. {}?"],
    "German pension": ["Meine Sozialversicherungsnummer ist {}.", "Rentenversicherungsnr. {} fehlt im Formular"],
    "German health": ["Die Versichertennummer {} ist ungültig.", "KVNR: {}"],
    "German tax": ["Steuer-ID {} bitte prüfen", "Meine Steueridentifikationsnummer lautet {}."],
    "Chinese resident": ["身份证号{}怎么查社保？", "客户身份证 {} 已过期"],
    "Chinese bank card": ["银行卡号{}无法到账", "请把报销打到 {} 这张卡"],
    "French NIR": ["The French social security number {} is on the form.", "NIR {} for the new colleague"],
    "Spanish NIE": ["Her NIE is {}."],
    "Italian codice fiscale": ["Il codice fiscale è {}.", "Italian tax code {} on the invoice"],
    "Dutch BSN": ["BSN {} for the Dutch payroll"],
    "card, English": ["My credit card {} was charged twice", "why is card number {} declined?"],
    "card, German": ["Kreditkarte {} wurde belastet"],
    "IBAN, English": ["Please pay to {} by Friday."],
    "IBAN, German": ["Meine IBAN ist {}, wann kommt das Gehalt?"],
    "UK national insurance": ["National insurance number {} is missing."],
    "e-mail": ["Write to {} about the invoice.", "{}的邮箱满了"],
    "phone, US": ["Call me at {} please.", "My phone number is {}."],
    "phone, UK": ["Her mobile is {}.", "phone: {}"],
    "phone, German": ["Telefon {} ist besetzt", "Sie erreichen mich unter Tel. {}"],
    "phone, Chinese": ["手机号{}收不到验证码", "请拨打电话 {}"],
    "date of birth, English": ["Date of birth: {}", "The patient was born on {} in Leeds."],
    "date of birth, German": ["Geburtsdatum {}", "geboren am {} in Köln"],
    "date of birth, Chinese": ["出生日期：{}", "他{}出生"],
    "passport, English": ["Passport number {} expires soon."],
    "passport, German": ["Reisepass {} läuft ab"],
    "passport, Chinese": ["护照号{}怎么办签证？"],
    "record, English": ["MRN {} has no lab results", "medical record number {}"],
    "record, German": ["Patientennummer {} hat keinen Befund"],
    "record, Chinese": ["病历号{}的检查结果在哪里？"],
    "name, en_US": ["Ask {} about the budget."],
    "name, en_GB": ["{}'s laptop is broken."],
    "name, de_DE": ["Frau {} hat gekündigt."],
    "name, zh_CN": ["请联系{}处理报销"],
}
HELD_OUT: Mapping[str, Sequence[str]] = {
    "US social security": [
        "HR asks for the social security number of the new hire: {}.",
        "How do I correct {} as SSN in Workday?",
        "employee ssn={} start 1 May",
        "Is it safe to mail my Social Security no. {} to the bank?",
    ],
    "US taxpayer (ITIN)": ["Does a W-7 change the taxpayer id {}?", "my wife's ITIN, {}, was refused"],
    "US prescriber (NPI)": ["Claims with NPI {} bounce since Monday.", "National Provider Identifier: {}"],
    "UK NHS": [
        "Why can't I open the record of NHS {}?",
        "The patient's number is {} and the ward is 4B",
        "nhs_number: {}",
    ],
    "German pension": ["Wo trage ich die SV-Nummer {} ein?", "Lohnabrechnung für {} stimmt nicht"],
    "German health": [
        "Warum wird die Krankenversichertennummer {} abgelehnt?",
        "Gesundheitskarte mit der Nummer {} nicht lesbar",
        "Krankenkasse: {} ist unbekannt",
    ],
    "German tax": [
        "Welche Lohnsteuerklasse gilt für die Steuernummer {}?",
        "IdNr {} fehlt bei ELStAM",
        "Bitte die steuerliche Identifikationsnummer {} ergänzen.",
    ],
    "Chinese resident": ["我的身份证是{}，能改名字吗", "居民身份证号码：{}", "证件号 {} 在系统里查不到"],
    "Chinese bank card": ["工资卡{}没有到账", "收款银行账户 {}，请核对", "我的卡号是{}"],
    "French NIR": ["Numéro de sécurité sociale {}: where does it go?", "Sécu {} de la nouvelle collègue"],
    "Spanish NIE": ["El NIE del empleado es {}.", "Residence permit {} ends in June"],
    "Italian codice fiscale": ["Where do I enter the codice fiscale {}?", "fiscal code {}"],
    "Dutch BSN": ["Zijn burgerservicenummer is {}.", "The citizen service number (BSN): {}"],
    "card, English": ["Refund to {} please", "The corporate Visa {} expires next month.", "Amex or card {}?"],
    "card, German": ["Meine Firmenkarte {} ist gesperrt", "Kartennummer: {}"],
    "IBAN, English": ["Our supplier changed the account to {}, who checks that?", "IBAN: {}"],
    "IBAN, German": ["Überweist das Gehalt auf {} statt auf das alte Konto", "Kontoverbindung {} ändern"],
    "UK national insurance": ["What if my NI number {} is wrong on the P60?", "NINO: {}"],
    "e-mail": ["{} gets no invitations, why?", "Bounce from <{}>", "抄送给{}，谢谢", "E-Mail an {} kommt zurück"],
    "phone, US": ["You can reach her on her cell, {}.", "Tel.: {}", "Who has the phone {}?"],
    "phone, UK": ["Text him on {}, that's his mobile", "telephone {} is out of service", "WhatsApp {}"],
    "phone, German": ["Meine Handynummer ist {}.", "Rückruf bitte unter {}", "Durchwahl: {}"],
    "phone, Chinese": ["我的手机是{}", "客户联系方式：{}", "打{}找张经理"],
    "date of birth, English": ["DOB {}", "her birthday is {}", "Patient born {}, allergic to penicillin"],
    "date of birth, German": ["geb. {}", "Die Patientin, geboren {}, kommt morgen.", "Mein Geburtstag ist der {}."],
    "date of birth, Chinese": ["患者出生于{}", "生日是{}", "出生年月：{}"],
    "passport, English": ["The visa form wants my passport ({}).", "passport no. {}"],
    "passport, German": ["Reisepassnummer: {}", "Mein Pass hat die Passnummer {}"],
    "passport, Chinese": ["我的护照{}丢了", "护照号码：{}"],
    "record, English": ["Chart number {} is locked", "Open patient ID {} please", "hospital number {}"],
    "record, German": ["Fallnummer {} abschließen", "Zur Patienten-Nr. {} fehlt der Arztbrief"],
    "record, Chinese": ["住院号 {} 的费用清单", "门诊号：{}", "病案号{}归档了吗"],
    "name, en_US": ["When does {} come back?", "forward this to {}, please", "Is {}'s badge active?"],
    "name, en_GB": ["I sit next to {} on floor 2", "({} approved it)", "Who replaces {}?"],
    "name, de_DE": ["Hat {} den Vertrag unterschrieben?", "Termin mit {} verschieben", "Vorgesetzter: {}"],
    "name, zh_CN": ["{}的年假还剩几天？", "把文件发给{}。", "谁接替{}的工作"],
}


def list_planted(
    kinds: Mapping[str, tuple[str, Make]], sentences: Mapping[str, Sequence[str]], count: int, seed: int = 23
) -> Iterator[Planted]:
    """Yield ``count`` sentences of each kind, the same ones for a seed."""
    for kind, (locale, make) in kinds.items():
        fake, chance = Faker(locale), random.Random(f"{seed} {kind}")
        fake.seed_instance(f"{seed} {kind}")
        for number in range(count):
            value = make(fake, chance)
            sentence = sentences[kind][number % len(sentences[kind])]
            yield Planted(kind, locale, sentence.format(value), value)
