"""Style sheets of the HTML report and of the notebook view."""

from __future__ import annotations

PAGE_STYLE = """
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5b6675;--line:#e2e6ec;--hint:#fff6e0;
--hint-line:#e8c36a}
@media(prefers-color-scheme:dark){:root{--paper:#0f1217;--card:#181c23;--ink:#e8ebf0;--soft:#9aa5b4;--line:#2a303a;
--hint:#2c2614;--hint-line:#8a6d1f}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.5;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 20px 56px;display:grid;gap:20px}
header{padding:0 4px}
.kicker{margin:0;color:var(--soft);font-size:.85rem;letter-spacing:.06em;text-transform:uppercase;font-weight:600}
h1{margin:2px 0 18px;font-size:clamp(1.6rem,4vw,2.4rem);line-height:1.15;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{margin:0 0 14px;font-size:1.05rem;letter-spacing:-.005em}
.facts{display:flex;flex-wrap:wrap;gap:10px 36px;margin:0}
.facts dd{margin:0;font-size:1.5rem;font-weight:650;line-height:1.2;font-variant-numeric:tabular-nums}
.facts dt{color:var(--soft);font-size:.9rem}
.facts div{display:flex;flex-direction:column}
section,aside{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:20px;min-width:0}
.warnings{background:var(--hint);border-color:var(--hint-line);padding:12px 20px}
.warnings ul{margin:0;padding-left:1.2em}
figure{margin:0;overflow-x:auto}
figure svg{display:block;min-width:640px;font-family:inherit}
section>figure{margin:-8px -12px -6px}
.rows{display:grid;gap:4px;overflow-x:auto}
.rows figure{overflow:visible;min-width:640px}
.legend{display:flex;flex-wrap:wrap;gap:6px 18px;margin:0 0 14px;padding:0;list-style:none;font-size:.9rem}
.hint{margin:-8px 0 12px;color:var(--soft);font-size:.9rem}
.scroll{overflow-x:auto}
.tall{max-height:560px;overflow-y:auto;border-top:1px solid var(--line)}
.scroll:focus-visible{outline:2px solid #0072B2;outline-offset:2px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:8px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;font-weight:400}
thead th{color:var(--soft);font-size:.85rem;font-weight:600;position:sticky;top:0;background:var(--card)}
tbody tr:last-child>*{border-bottom:0}
tbody tr:hover{background:color-mix(in srgb,var(--ink) 4%,transparent)}
.airtime th:first-child{text-align:left}
.airtime .bar{width:50%;min-width:140px;padding-left:0}
.airtime tbody .bar span{display:block;height:14px;border-radius:5px;min-width:2px}
.turns th:last-child,.turns td:last-child{text-align:left;width:70%}
.chip{display:inline-flex;align-items:center;gap:8px;font-weight:600;max-width:100%}
.chip bdi{overflow:hidden;text-overflow:ellipsis;max-width:24em}
.chip i{width:11px;height:11px;border-radius:50%;flex:none}
fieldset{border:0;margin:0 0 12px;padding:0;display:flex;flex-wrap:wrap;gap:8px 18px;font-size:.95rem}
legend{float:left;padding:0 4px 0 0;color:var(--soft);margin-right:12px}
fieldset label{display:inline-flex;gap:7px;align-items:center;cursor:pointer}
input{accent-color:#0072B2;width:16px;height:16px;margin:0}
footer{color:var(--soft);font-size:.85rem;padding:4px}
@media(max-width:640px){main{padding:24px 12px}section{padding:16px}.facts{gap:10px 24px}th,td{padding:8px 6px}
.airtime .bar{min-width:40px;width:30%}.airtime :is(th,td):nth-child(n+5){display:none}
.airtime .chip bdi{max-width:9em}}
@media print{body{background:#fff;color:#000}section{break-inside:avoid}.tall{max-height:none;overflow:visible}
fieldset{display:none}section:last-of-type{break-inside:auto}}
"""

FRAGMENT_STYLE = """
.speakrs-diarization{font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;line-height:1.5;
max-width:1000px}
.speakrs-diarization table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.speakrs-diarization th,.speakrs-diarization td{padding:3px 14px 3px 0;text-align:left}
.speakrs-diarization .chip{display:inline-flex;align-items:center;gap:7px}
.speakrs-diarization .chip i{width:10px;height:10px;border-radius:50%}
"""
