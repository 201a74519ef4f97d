"""Names of the demo city: invented, marked 演示 / (demo), never those of a real school or person."""

from __future__ import annotations

import numpy as np

MARK_ZH, MARK_EN = "（演示）", " (demo)"
_FIRST = (
    ("澄", "Cheng"),
    ("霁", "Ji"),
    ("翊", "Yi"),
    ("岫", "Xiu"),
    ("榆", "Yu"),
    ("翎", "Ling"),
    ("珩", "Heng"),
    ("砚", "Yan"),
    ("汀", "Ting"),
    ("蔚", "Wei"),
    ("沐", "Mu"),
    ("栩", "Xu"),
    ("瑾", "Jin"),
    ("璟", "Jing"),
    ("筠", "Yun"),
    ("曜", "Yao"),
    ("湛", "Zhan"),
    ("槿", "Jin"),
    ("颂", "Song"),
    ("麓", "Lu"),
    ("苇", "Wei"),
    ("漪", "Yi"),
    ("朔", "Shuo"),
    ("葵", "Kui"),
    ("棠", "Tang"),
    ("笙", "Sheng"),
    ("绮", "Qi"),
    ("昕", "Xin"),
    ("衡", "Heng"),
    ("泠", "Ling"),
    ("菁", "Jing"),
    ("禾", "He"),
)
_SECOND = (
    ("舟", "zhou"),
    ("墨", "mo"),
    ("杉", "shan"),
    ("澜", "lan"),
    ("野", "ye"),
    ("坞", "wu"),
    ("屿", "yu"),
    ("陌", "mo"),
    ("岚", "lan"),
    ("荻", "di"),
    ("桐", "tong"),
    ("辰", "chen"),
    ("浦", "pu"),
    ("畔", "pan"),
    ("崖", "ya"),
    ("蓝", "lan"),
    ("渚", "zhu"),
    ("枫", "feng"),
    ("原", "yuan"),
    ("砾", "li"),
    ("帆", "fan"),
    ("穗", "sui"),
    ("虹", "hong"),
    ("墅", "shu"),
)

DISTRICTS: dict[str, tuple[str, str]] = {
    "440303": ("罗湖区", "Luohu"),
    "440304": ("福田区", "Futian"),
    "440305": ("南山区", "Nanshan"),
    "440306": ("宝安区", "Bao'an"),
    "440307": ("龙岗区", "Longgang"),
    "440308": ("盐田区", "Yantian"),
    "440309": ("龙华区", "Longhua"),
    "440310": ("坪山区", "Pingshan"),
    "440311": ("光明区", "Guangming"),
    "SZDP": ("大鹏新区", "Dapeng"),
}
KINDS: dict[str, tuple[str, str]] = {
    "kindergarten": ("幼儿园", "Kindergarten"),
    "primary": ("小学", "Primary School"),
    "junior": ("初级中学", "Junior School"),
    "senior": ("高级中学", "Senior School"),
    "nine_year": ("九年一贯制学校", "Nine-Year School"),
    "twelve_year": ("十二年制学校", "Twelve-Year School"),
    "vocational": ("职业学校", "Vocational School"),
    "special": ("特殊教育学校", "Special School"),
}
ROAD_WORDS: dict[str, tuple[str, str]] = {
    "motorway": ("快速路", "Expressway"),
    "trunk": ("大道", "Avenue"),
    "primary": ("大街", "Street"),
    "secondary": ("路", "Road"),
    "residential": ("巷", "Lane"),
}
PLACES: dict[str, tuple[str, str]] = {
    "surroundings": ("校园周边", "Surroundings"),
    "outside_gate": ("大门外", "Outside the gate"),
    "perimeter": ("周界", "Perimeter"),
    "main_entrance": ("主出入口", "Main entrance"),
    "gatehouse": ("门卫室", "Gatehouse"),
    "gathering": ("室外集散场地", "Gathering area"),
    "teaching": ("教学区", "Teaching area"),
    "dormitory": ("宿舍区", "Dormitory"),
    "nursery": ("活动室与睡眠室", "Activity and sleeping rooms"),
    "canteen": ("食堂", "Canteen"),
    "hazard_store": ("危险品储存室", "Hazardous store"),
    "control_room": ("监控中心", "Control room"),
    "parking": ("停车场", "Parking"),
    "power_room": ("配电室", "Power room"),
    "archive": ("档案室", "Archive"),
    "office": ("办公区", "Office"),
}
BUILDINGS: dict[str, tuple[str, str]] = {
    "teaching": ("教学楼", "Teaching building"),
    "dormitory": ("宿舍楼", "Dormitory"),
    "canteen": ("食堂", "Canteen"),
    "office": ("行政楼", "Office"),
    "gym": ("体育馆", "Gym"),
    "laboratory": ("实验楼", "Laboratory"),
    "gatehouse": ("门卫室", "Gatehouse"),
    "nursery": ("保教楼", "Nursery building"),
    "residence": ("居民楼", "Residence"),
    "other": ("附属用房", "Outbuilding"),
}
GATES = (("南门", "South gate"), ("东门", "East gate"), ("北门", "North gate"), ("西门", "West gate"))
UNITS: dict[str, tuple[str, str]] = {
    "patrol_car": ("巡逻车", "Patrol car"),
    "motorcycle": ("摩托", "Motorcycle"),
    "foot": ("步巡组", "Foot patrol"),
    "station": ("派出所", "Police station"),
}


def places(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """`count` different invented place names (Chinese, English), in an order drawn from `rng`; at most 768."""
    order = rng.permutation(len(_FIRST) * len(_SECOND))[:count]
    found = [(_FIRST[n // len(_SECOND)], _SECOND[n % len(_SECOND)]) for n in order]
    return [(first[0] + second[0], first[1] + second[1]) for first, second in found]


def school(place: tuple[str, str], kind: str, number: int) -> tuple[str, str]:
    """Name of the `number`-th school (from 1) of its kind at a place, with the demo mark."""
    zh, en = KINDS[kind]
    ordinal_zh, ordinal_en = (f"第{number}", f" No. {number}") if number > 1 else ("", "")
    return f"{place[0]}{ordinal_zh}{zh}{MARK_ZH}", f"{place[1]}{ordinal_en} {en}{MARK_EN}"
