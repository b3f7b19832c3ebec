"""Words that decide whether a name or ticker that is also a word means the instrument.

Without them `Fed hits inflation target` would be about a retailer, and `ADA compliance` about a coin.
"""

from __future__ import annotations

WORDS = frozenset(
    """
    able about above act add ads age ago aid aim air all alone also alternative america american amid and any
    apple are area arm arms army art ask asset at atom automatic away back bad bag ball ban band bank bar base
    battle be bear beat bed bee beer being bell best bet better beyond big bill bit black block blue board boat
    body bold bond book booking boom boost boot born both bounce box boy brain brand bread break bright bring
    brown budget bug build bull burn bus business but buy cable cake call calm camp can cap car carbon card care
    carnival cars carrier case cash cast cat caterpillar cause cell cent chain change charge check chef chip
    city clean clear click climb close cloud club coal coat code coin coke cold come cook cool cop copper core
    corn cosmos cost cottage could country cow crew crop cross crown cruise cup cut cycle dad daily dam dark
    dash data date dawn day deal dear death debt deep deer delta desk dig dine dirt dish do dock dog door dot
    double dow down dream drive drop drug dry due dust duty each eagle earn ears earth ease east easy eat edge
    edit egg elf else end energy enter era ever evil exit extra eye face fact fair fall fan far farm fast fat
    fate fear fed feed feel fell few field fight fig fill film find fine fire firm first fish fit five fix flag
    flat flex flow flower fly focus fold food fool for force ford form fox free freeport fresh from fuel full
    fun fund future gain game gap gas gate gem general get giant gift give glad global go goal gold golf good
    grab grand great green grow grid group guess gun guy hack had hair half hall hand hard harvest has hat have
    hawk he head heal health hear heart heat help her here hero high hill him hire his hit hold hole holy home
    honey hook hope horizon horse hot hour house how hub huge human hunt hurt ice icon idea if in inn intel into
    iron is island it item jack job join joy jump just keep key kid kill kind king kit know lab lady lake land
    large last late law lead leaf leap learn leg less let level liberty life lift light like lilly limit line
    link lion list live load loan local lock log long look loop lose loss lot loud love low luck lucid lunch
    luna mad magic mail main make man map march mark market mars mass mast match math may meal mean meat media
    meet men menu mercury meta metal mid mile milk mind mine mint miss mix mobile model mom money moon more most
    motor move much must name nasdaq national near neck need net new news next nice night nine no node none
    north not note now nut oak ocean odd of off offer oil old on once one only open optimism oracle or order our
    out oval over own owl pace pack page paid pain pair palm paper para park part pass past patch path pay peace
    peak peer pen people per pet pick piece pig pin pink pipe place plan planet play plug plus point pole policy
    polygon pool poor pop port post pot power press price pride prime print pro progressive pub pull pump pure
    push put quest quick race rail rain ram range rank rare rate raw ray read ready real red rent rest rich ride
    right ring riot ripple rise risk road robinhood rock role roof room root rope rose run rush safe sail sale
    salt same sand save say schwab sea seal seat see seed sell send set seven shake shape share she shell ship
    shoe shop short show shut sick side sign silk silver sin site six size skill skin sky slack sleep slide slow
    small smart smile smoke snap snow snowflake so soft soil sold solar some son song soon soul sound source
    south southern southwest space spark speed spot spring sprout square stable stake star start state stay
    steel stellar step stock stone stop store storm strong suit sun super sure surf swap sweet swing table tail
    take tale talk tall tank tap target task tax tea team tear tech tell ten term test text than that the them
    then they thin this tide tie time tiny tip to toast toll tone too tool top total touch tour town toy track
    trade trail travel travelers tree trend trip tron true trust truth try turn twin two type ugly union united
    unity up us use vale van vast very via view visa vision vital voice vote wage wait wake walk wall want war
    warm was wash waste watch water wave way we wealth wear web week well west wet what when who why wide wild
    will win wind wine wing wire wise wish with wolf wood word work world worth yard year yes yet yield you
    young your zero zone zoom ada ai api app bbc bmi cad cbd cd cdc ceo cfo cia cme cnn coo covid cpi cto dna
    doe doj ecb ecg eia epa eps esg etf eth ev eu faa fbi fda fifa ftc gdp gmt gps hbo hiv hr imf ipo ira irs
    isp iso jan feb mar apr jun jul aug sep oct nov dec mba mri nasa nato nba nfl ngo nhl nhs nsa nyc nyse oecd
    opec pc pce pdf pmi ppi pr qe roi sec sol tv uae ufc uk un usa usd usda vat vc vp vpn wto eur gbp jpy chf
    aud nzd cny rmb lol atm asap faq diy amazon uber hershey disco oscar marathon pilot dominion regions ally
    discover chase fortune paramount dell spy polkadot
    """.split()
)
"""English words, and abbreviations that are more than tickers, in small letters."""

GIVEN_NAMES = frozenset(
    """
    adam alan albert alex alice amanda amy andrew angela ann anna anthony arthur barbara ben betty bill bob
    brian bruce carl carol charles charlie chris christine christopher claire craig daniel dave david diana
    donald donna doug douglas ed edward elizabeth emily emma eric faith fiona frank gary george gerald glenn
    grace greg harrison harry heather helen henry howard jack jacob james jane janet jason jeff jennifer jeremy
    jessica jim joan joe john jonathan joseph josh joshua juan judy julia justin karen kate katherine keith
    kelly ken kevin kim larry laura lily linda lisa lita lucy luis mark martha martin mary matt matthew megan
    melissa michael mike nancy nathan nick nicole nikola olivia pamela pat patricia patrick paul peter philip
    rachel ralph ray rebecca richard rick rob robert robin roger ron ronald rose roy russell ruth ryan sam
    samantha sandra sara sarah scott sean sharon simon sophia stephanie stephen steve steven susan ted teresa
    terry thomas tim tina todd tom tony tyler victoria vincent virginia walter wayne william zoe premier
    president mr mrs ms dr judge senator coach mayor governor justice sheriff actor director sir lord
    """.split()
)
"""Given names and titles: before a name of a company that is also a surname, they make it a person's."""

VERBS = frozenset(
    """
    accuses acquires adds agrees aims announces appeals appoints approves asks avoids backs bans beats begins
    bets blames boosts borrows bought brings builds buys calls cancels climbs closes commits completes confirms
    considers continues could crashes cuts debuts declares declines defends delays delivers denies detects
    disappoints discloses dips discontinues doubles downgraded drags drops edges enters escapes estimates
    exceeds exits expands expects explores extends faces fails falls fights files fined fires forecasts freezes
    gains gets gives goes grows guides halts has hikes hires hits holds hopes hopeful inches increases
    introduces invests is issues jolts joins jumps keeps launches lays leads leaps leases lifts loses lowers
    makes may merges might misses moves must names nears needs opens orders outlines outperforms overtakes owns
    partners pauses pays picks plans pledges plummets plunges posts predicts prepares prices profits projects
    promises proposes pulls pushes puts raises rallies reaches rebounds recalls recovers reduces rejects
    releases reopens replaces reports resumes retreats returns reveals rises rolls rockets sacks said sales saw
    says secures sees seeks sells sent sets settles sheds shifts should shows shrinks shuts signs sinks
    skyrockets slashes slides slips slumps soars spends spins splits starts stops strikes strengthens suffers
    sues surges suspends takes talks taps targets tests threatens to tops touts trades tumbles turns unveils
    updates upgrades upgraded urges uses warns was weighs will wins withdraws won would wants tells beat cut
    fell raised reported rose sold posted jumped dropped sank soared slid surged plans’ did does doubling denied
    lost launched announced unveiled warned hit missed paid named filed sued agreed plunged halted gained
    climbed slumped tumbled opened closed settled recalled added admits allows can trails tracks backed rated
    initiated maintained reiterated acquire acquired buy sell struggles acelera acuerda adquiere alcanza amplía
    anuncia anunció aplaza apuesta aumenta baja bate cae cancela cayó cede cierra compra confirma congela crece
    dejará demanda denuncia desafía desploma despedirá despide destituye dice dispara dobla duplica elevará
    eleva emite encarga enfrenta entra espera estrena estudia evita factura fabrica fabricará ficha firma frena
    gana ganó gasta hunde impulsa incumple invertirá invierte lanza lanzará lidera limita llega logra mantiene
    mejora multada negocia niega ofrece paga pagará perdió perderá pierde planea prepara presenta prevé prohíbe
    promete propone pone quiere rebota recompra recorta rechaza recupera reduce registra renuncia reparte retira
    retrasa sale saca se sorprende sube subió sufre supera suspende tendrá trabaja traslada vende venderá vuelve
    abre advierte
    """.split()
)
"""What companies do in headlines, in English and Spanish; the word after a name that is also a word."""

NOUNS = frozenset(
    """
    inc inc. corp corp. corporation co co. company ltd ltd. plc group holdings ag sa nv se motor motors airlines
    lines platforms technologies stock stocks share shares shareholders shareholder investors investor earnings
    profit profits revenue revenues sales ceo cfo coo chief chairman boss executive executives results quarter
    quarterly q1 q2 q3 q4 guidance outlook dividend buyback bonds debt merger deal bid takeover acquisition ipo
    lawsuit layoffs workers employees staff stores store customers analyst analysts upgrade downgrade rating
    valuation options calls puts price-target price token tokens coin coins network blockchain crypto etf
    futures margins margin subsidiary unit division rival rivals chips chip cloud prime watch music pay iphone
    ipad mac app studio web services pharmacy phone vision pro mobility energy plant plants factory factories
    pickup pickups trucks truck suv suvs mustang bronco f-150 maverick explorer acciones beneficio beneficios
    ventas ingresos consejero directivo trabajadores empleados plantilla resultados cotización dividendo pill
    drug vaccine shot treatment driver drivers delivery warehouse warehouses jets deliveries headquarters flight
    flights plane planes pilots passengers bottler bottlers dealers suppliers users ads search
    """.split()
)
"""What belongs to a company or a coin in headlines; the word after a name that is also a word."""

BEFORE = frozenset(
    """
    shares stock stake automaker carmaker retailer chipmaker maker giant insurer airline lender bank miner rival
    rivals supplier suppliers sues upgrades upgraded downgrades downgraded acquires acquire buys competitor
    subsidiary parent against versus vs vs. like initiates reiterates tracks acciones fabricante aerolínea banco
    compañía petrolera minorista owner
    """.split()
)
"""The word before a name, or the one before `of`, `in` or `de` before it."""

CRYPTO_WORDS = frozenset(
    """
    crypto cryptocurrency token tokens coin coins altcoin altcoins blockchain price prices wallet staking
    network defi whale whales rally rallies bitcoin ethereum btc mainnet validator validators holders on-chain
    onchain usdt exchange binance coinbase kraken criptomoneda criptomonedas
    """.split()
)
"""What a text is about that means a coin by an abbreviation."""

AGAINST = frozenset(
    """
    rainforest jungle deforestation indigenous tribe tribes river basin forest recipe recipes pie juice cider
    orchard orchards harvest growers crisp salad sauce tree trees fruit fruits variant covid fossil turtle
    seashell samba parade museum festival concert film movie novel mythology greek etiquette manzana manzanas
    selva río crops organisms mosquitoes
    """.split()
)
"""What a text is about that means the thing and not the company of its name."""

PLACES_AFTER = frozenset(
    """
    field stadium arena center centre park forum bowl cup open championship foundation island river valley basin
    county
    """.split()
)
"""The word after a name that makes it the name of a place or an event."""

REGIONS = frozenset(
    """
    chile colombia spain españa mexico méxico texas california ohio georgia florida brazil brasil france germany
    india cuba argentina venezuela panama panamá chihuahua cantabria massachusetts michigan ontario washington
    """.split()
)
"""After a name and a comma, these make it the name of a town."""

MOVES = frozenset(
    """
    rallies rally jumps falls drops surges climbs slides sinks soars tumbles plunges gains rises closes slips
    dips rebounds crashes spikes rose fell jumped surged dropped vs vs. options
    """.split()
)
"""What prices do; the word after a ticker that is also a word."""

PRICE_MOVES = frozenset(
    """
    hits holds steadies eases edges extends retreats inches firms tops steady near heads touches alcanza sube cae
    baja repunta supera toca marca marcha retrocede avanza
    """.split()
)
"""What the price of a metal does, too, in English and Spanish."""

OUNCES = frozenset("ounce ounces bullion troy onza onzas".split())
"""What a text about the price of a metal counts in."""

PLACES_BEFORE = frozenset(
    """
    port bay city town mayor university airport province diocese puerto bahía ciudad ayuntamiento alcalde alcaldesa
    universidad aeropuerto provincia centro playa playas calles vecinos racing
    """.split()
)
"""With `of` or `de` and a name after them, these make it the name of a place."""
