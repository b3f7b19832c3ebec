"""Names by which texts call well-known instruments; users add their own (`trading-platform news aliases add`).

Names of companies and coins are facts of public knowledge, written down for this module. A symbol that is not here is
linked by its ticker, and by the names that its user gives.
"""

from __future__ import annotations

_EQUITIES = """
AAPL Apple|Apple Inc; MSFT Microsoft; GOOGL Alphabet|Google; GOOG Alphabet|Google; AMZN Amazon|Amazon.com
META Meta|Meta Platforms|Facebook; TSLA Tesla; NVDA Nvidia|NVIDIA; NFLX Netflix; AMD Advanced Micro Devices|AMD
INTC Intel; IBM International Business Machines|IBM; ORCL Oracle; CRM Salesforce; ADBE Adobe
CSCO Cisco|Cisco Systems; QCOM Qualcomm; TXN Texas Instruments; AVGO Broadcom; MU Micron|Micron Technology
AMAT Applied Materials; LRCX Lam Research; ASML ASML; TSM TSMC|Taiwan Semiconductor; SAP SAP; SHOP Shopify
UBER Uber|Uber Eats; LYFT Lyft; SNAP Snap|Snapchat; PINS Pinterest; SPOT Spotify; ZM Zoom|Zoom Video; PYPL PayPal
SQ Block|Block Inc; COIN Coinbase; HOOD Robinhood; PLTR Palantir; SNOW Snowflake; CRWD CrowdStrike
PANW Palo Alto Networks; NOW ServiceNow; DELL Dell|Dell Technologies; HPQ HP|HP Inc
HPE Hewlett Packard Enterprise|HPE; SONY Sony; NDAQ Nasdaq Inc; ICE Intercontinental Exchange
JPM JPMorgan|JPMorgan Chase|JP Morgan|J.P. Morgan; BAC Bank of America|BofA; C Citigroup|Citi; WFC Wells Fargo
GS Goldman Sachs|Goldman; MS Morgan Stanley; BLK BlackRock; SCHW Charles Schwab|Schwab; AXP American Express|Amex
V Visa; MA Mastercard; COF Capital One; BRK.B Berkshire Hathaway|Berkshire; BRK.A Berkshire Hathaway|Berkshire
JNJ Johnson & Johnson|J&J; PFE Pfizer; MRK Merck; ABBV AbbVie; LLY Eli Lilly|Lilly
BMY Bristol Myers Squibb|Bristol-Myers; AMGN Amgen; GILD Gilead|Gilead Sciences; MRNA Moderna; BNTX BioNTech
AZN AstraZeneca; NVO Novo Nordisk; GSK GSK; UNH UnitedHealth|UnitedHealth Group; CVS CVS|CVS Health; WBA Walgreens
MDT Medtronic; ABT Abbott|Abbott Laboratories; TMO Thermo Fisher; DHR Danaher; ISRG Intuitive Surgical; BIIB Biogen
REGN Regeneron; VRTX Vertex Pharmaceuticals; WMT Walmart; TGT Target|Target Corp; COST Costco; HD Home Depot
LOW Lowe's|Lowes; KR Kroger; M Macy's|Macys; KSS Kohl's; GPS Gap|Gap Inc; GAP Gap|Gap Inc; NKE Nike; LULU Lululemon
SBUX Starbucks; MCD McDonald's|McDonalds; YUM Yum Brands; CMG Chipotle; KO Coca-Cola|Coca Cola|Coke
PEP PepsiCo|Pepsi; PG Procter & Gamble|P&G; CL Colgate-Palmolive; UL Unilever; MDLZ Mondelez; KHC Kraft Heinz
GIS General Mills; K Kellogg's|Kellanova; HSY Hershey; BYND Beyond Meat; PM Philip Morris; MO Altria
EL Estee Lauder|Estée Lauder; BBY Best Buy; EBAY eBay; ETSY Etsy; BABA Alibaba; JD JD.com; BIDU Baidu
PDD PDD Holdings|Pinduoduo; NIO Nio; XPEV XPeng; LI Li Auto; DIS Disney|Walt Disney; CMCSA Comcast
WBD Warner Bros Discovery|Warner Bros. Discovery; PARA Paramount|Paramount Global; T AT&T; VZ Verizon; TMUS T-Mobile
F Ford|Ford Motor; GM General Motors|GM; STLA Stellantis; TM Toyota; HMC Honda; RIVN Rivian; LCID Lucid Motors
HOG Harley-Davidson; BA Boeing; LMT Lockheed Martin|Lockheed; RTX Raytheon|RTX; NOC Northrop Grumman
GD General Dynamics; GE General Electric|GE; HON Honeywell; MMM 3M; CAT Caterpillar; DE Deere|John Deere
UPS UPS|United Parcel Service; FDX FedEx; UNP Union Pacific; CSX CSX; DAL Delta Air Lines|Delta
UAL United Airlines|United; AAL American Airlines; LUV Southwest Airlines|Southwest; JBLU JetBlue
CCL Carnival|Carnival Corp|Carnival Cruise Line; RCL Royal Caribbean; NCLH Norwegian Cruise Line; MAR Marriott
HLT Hilton; ABNB Airbnb; BKNG Booking Holdings|Booking.com; EXPE Expedia; XOM Exxon|Exxon Mobil|ExxonMobil; CVX Chevron
COP ConocoPhillips
BP BP; SHEL Shell; TTE TotalEnergies; OXY Occidental|Occidental Petroleum; SLB Schlumberger; HAL Halliburton
ENPH Enphase; FSLR First Solar; NEE NextEra|NextEra Energy; DUK Duke Energy; SO Southern Company
FCX Freeport-McMoRan|Freeport; NEM Newmont; AA Alcoa; X U.S. Steel|US Steel; NUE Nucor; VALE Vale; RIO Rio Tinto
BHP BHP; DOW Dow Inc; DD DuPont; GME GameStop; AMC AMC Entertainment|AMC; PTON Peloton; ROKU Roku; RBLX Roblox
EA Electronic Arts; TTWO Take-Two; MSTR MicroStrategy; SMCI Super Micro|Supermicro; ARM Arm Holdings|Arm
DKNG DraftKings; ALL Allstate; PGR Progressive Corp; TRV Travelers Companies; MET MetLife
AIG AIG|American International Group; PRU Prudential Financial; KEY KeyCorp; USB U.S. Bancorp|US Bancorp; PNC PNC
TFC Truist; O Realty Income; SPG Simon Property; PLD Prologis; AMT American Tower; IT Gartner; LIN Linde
SHW Sherwin-Williams; WM Waste Management; FAST Fastenal; CAR Avis Budget|Avis; SAN Banco Santander|Santander
SAN.MC Banco Santander|Santander; BBVA BBVA; BBVA.MC BBVA; TEF Telefónica|Telefonica; TEF.MC Telefónica|Telefonica
ITX.MC Inditex; IBE.MC Iberdrola; REP.MC Repsol; SIE.DE Siemens; ENR.DE Siemens Energy; GEV GE Vernova
GEHC GE HealthCare; SHL.DE Siemens Healthineers; BMW.DE BMW; BAYN.DE Bayer; VOW3.DE Volkswagen|VW
ALV.DE Allianz; DBK.DE Deutsche Bank; DB Deutsche Bank; BAS.DE BASF; MC.PA LVMH; AIR.PA Airbus
OR.PA L'Oréal|L'Oreal; TTE.PA TotalEnergies; SAP.DE SAP; SHEL.L Shell; HSBA.L HSBC; HSBC HSBC; BP.L BP
VOD.L Vodafone; VOD Vodafone; BARC.L Barclays; BCS Barclays; UBS UBS; NESN.SW Nestlé|Nestle; ROG.SW Roche
NOVN.SW Novartis; NVS Novartis; 7203.T Toyota; 6758.T Sony; 9984.T SoftBank; 0700.HK Tencent; 9988.HK Alibaba
MELI MercadoLibre|Mercado Libre
"""

_CRYPTO = """
BTC Bitcoin; XBT Bitcoin; ETH Ethereum|Ether; SOL Solana; ADA Cardano; XRP Ripple; DOT Polkadot; LTC Litecoin
DOGE Dogecoin; AVAX Avalanche; LINK Chainlink; MATIC Polygon; USDT Tether; USDC USD Coin; BCH Bitcoin Cash
XLM Stellar; SHIB Shiba Inu; TRX Tron; BNB Binance Coin; ATOM Cosmos; UNI Uniswap; XMR Monero; ETC Ethereum Classic
"""

_INDEXES = """
SPX S&P 500; GSPC S&P 500; SP500 S&P 500; DJI Dow Jones Industrial Average|Dow Jones|Dow; NDX Nasdaq 100|Nasdaq-100
IXIC Nasdaq Composite; RUT Russell 2000; VIX VIX; DAX DAX; GDAXI DAX; FTSE FTSE 100; UKX FTSE 100
N225 Nikkei 225|Nikkei; HSI Hang Seng; FCHI CAC 40; STOXX50E Euro Stoxx 50; DXY dollar index
XAUUSD spot gold|gold price|gold prices; XAGUSD spot silver|silver price|silver prices
"""


def _table(text: str) -> dict[str, tuple[str, ...]]:
    entries = (entry.strip() for line in text.splitlines() for entry in line.split(";"))
    pairs = (entry.partition(" ") for entry in entries if entry)
    return {symbol: tuple(names.split("|")) for symbol, _, names in pairs}


COMPANY_NAMES = _table(_EQUITIES)
"""Names by symbol of shares."""

COIN_NAMES = _table(_CRYPTO)
"""Names by the base code of a crypto pair."""

INDEX_NAMES = _table(_INDEXES)
"""Names by symbol of indexes and metals."""
