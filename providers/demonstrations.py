"""Demonstrations: short texts in several languages side by side, which show a language model how a translator answers.

Pure data, written for this project. Models that are tuned on instructions see a few of them as turns of the talk; others go on
from them, and owe them nearly all that they can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TEXTS: tuple[Mapping[str, str], ...] = tuple(
    MappingProxyType(text)
    for text in (
        {
            "en": "Which animals sleep through the winter? Name three of them.",
            "es": "¿Qué animales duermen todo el invierno? Nombra tres.",
            "zh": "哪些动物整个冬天都在睡觉？请说出三种。",
        },
        {
            "en": "Dear Mr. Li, I am sorry, but I cannot come tomorrow because my son is ill.",
            "es": "Estimado señor Li: Lo siento, pero mañana no puedo ir porque mi hijo está enfermo.",
            "zh": "李先生：很抱歉，我儿子生病了，我明天不能来。",
        },
        {
            "en": "The bridge was built in 1932 and is 300 metres long. About 5,000 cars cross it every day.",
            "es": "El puente se construyó en 1932 y mide 300 metros. Lo cruzan unos 5000 coches cada día.",
            "zh": "这座桥建于1932年，长300米。每天大约有5000辆汽车从桥上经过。",
        },
        {
            "en": "It is raining today, so the children are reading at home. Their mother has made a big pot of hot soup.",
            "es": "Hoy llueve, así que los niños están leyendo en casa. Su madre ha hecho una gran olla de sopa caliente.",
            "zh": "今天下雨，所以孩子们在家里看书。妈妈煮了一大锅热汤。",
        },
        {
            "en": "Buying a ticket is easy. First choose your seat, then pay with your phone. The ticket will be sent to you.",
            "es": "Comprar una entrada es fácil. Primero elija su asiento y luego pague con el móvil. Le enviaremos la entrada.",
            "zh": "买票很简单。先选好座位，再用手机付款。票会寄给您。",
        },
    )
)
"""In the order in which they are shown: what is nearest to the question weighs most with a small model."""

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "ar": "Arabic",
        "bg": "Bulgarian",
        "bn": "Bengali",
        "ca": "Catalan",
        "cs": "Czech",
        "da": "Danish",
        "de": "German",
        "el": "Greek",
        "en": "English",
        "en-GB": "British English",
        "en-US": "American English",
        "es": "Spanish",
        "et": "Estonian",
        "fa": "Persian",
        "fi": "Finnish",
        "fr": "French",
        "he": "Hebrew",
        "hi": "Hindi",
        "hu": "Hungarian",
        "id": "Indonesian",
        "it": "Italian",
        "ja": "Japanese",
        "ko": "Korean",
        "lt": "Lithuanian",
        "lv": "Latvian",
        "ms": "Malay",
        "nb": "Norwegian",
        "nl": "Dutch",
        "pl": "Polish",
        "pt": "Portuguese",
        "pt-BR": "Brazilian Portuguese",
        "pt-PT": "European Portuguese",
        "ro": "Romanian",
        "ru": "Russian",
        "sk": "Slovak",
        "sl": "Slovenian",
        "sr": "Serbian",
        "sv": "Swedish",
        "sw": "Swahili",
        "ta": "Tamil",
        "th": "Thai",
        "tr": "Turkish",
        "uk": "Ukrainian",
        "ur": "Urdu",
        "vi": "Vietnamese",
        "yue": "Cantonese",
        "zh": "Chinese",
        "zh-Hans": "Chinese",
        "zh-Hant": "Traditional Chinese",
    }
)
"""What a language is called in English; a model knows the tag of any other."""
