"""The closed classes of words that the rules on a parse know by name, each with what is said of it."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# what is said of "two" or "all" of some things is not said of each kind of them
NO_SPLIT_DETERMINERS = _words(
    """
    all any different each either every few many more most multiple neither no numerous other several some such these
    those three two various
    """
)
# determiners that point back in the text
POINTING = _words(
    """
    both either latter neither such that these this those
    """
)
# common nouns for people
PERSON_NOUNS = _words(
    """
    activist actor actress admiral ambassador anthropologist archbishop architect astronaut astronomer athlete author
    bishop boxer businessman chancellor chemist cleric commander composer conqueror critic dancer deity designer
    diplomat director dramatist driver duchess duke earl emperor empress engineer entrepreneur explorer filmmaker
    footballer founder friar general god goddess governor inventor judge king lawyer leader man mathematician mayor
    minister missionary monarch monk musician mystic naturalist nobleman novelist nun officer orator painter pharaoh
    philosopher photographer pilot player poet politician polymath pope president priest prince princess producer
    prophet queen reformer researcher revolutionary ruler sailor saint scholar sculptor senator singer soldier
    songwriter sovereign statesman sultan surgeon swimmer teacher theologian thinker traveler warrior woman wrestler
    writer
    """
)
# class nouns too wide or too relational to point back with: "the part", "the type"
NO_CLASS = _words(
    """
    capital center centre example form group kind majority member most name number one part piece range result series
    set state term type
    """
)
# nouns that say nothing without "of": "members are found worldwide"
RELATIONAL = _words(
    """
    adult advantage area beginning boy capital cause character characteristic complication cub date disadvantage effect
    end example exception female follower form girl goal half individual inhabitant juvenile kind majority male member
    name number object offspring origin other parent part patient piece player population purpose reason resident rest
    result sign size specie species symptom term title treatment type variety version victim visitor
    """
)
# adjectives that compare with something said before
COMPARING = _words(
    """
    additional another certain further latter other remaining same similar
    """
)
# words of quantity that may stand without a noun
QUANTITIES = _words(
    """
    all another any both each either few less many more most much neither none one others several some that these this
    those three two
    """
)
# nouns that with "the" and nothing else take up what was named before
ANAPHORIC = _words(
    """
    album app area article author band battle bill book bridge building campaign case castle ceremony church city club
    company conflict country episode event family film game group incident island kingdom lake law match method mountain
    movement museum novel organisation organization painting party play plot poem position process project river school
    season series site song statue story structure system team temple term text title tower town treaty village work
    """
)
# nouns of which there is but one, however often they are said
UNIQUE = _words(
    """
    atmosphere blood body brain century coast earth east economy environment equator government heart human moon north
    ocean past public region sea sky south state sun time universe war west world
    """
)
# adverbs that only connect a sentence with others
CONNECTIVES = _words(
    """
    accordingly additionally afterward afterwards also consequently conversely eventually further furthermore hence
    however indeed instead later likewise meanwhile moreover nevertheless nonetheless otherwise rather similarly
    subsequently then thereafter thereby therefore thus too
    """
)
# what narrows what is said: it cannot be taken away from it
BINDING = _words(
    """
    as but except if like once only per save than under unless unlike until when whenever where wherever without
    """
)
# prepositions of place and time: what they govern is an adjunct, also after an object
CIRCUMSTANCES = _words(
    """
    about above across after along alongside amid among around at before below beneath between despite due during in
    inside near on outside over since through throughout until via within
    """
)
# verbs that ask for a place, so that it is no adjunct
LOCATED = _words(
    """
    base be center centre engage find lie live locate participate result set situate specialise specialize stand take
    """
)
# verbs with an argument in "with"
WITH = _words(
    """
    agree associate be begin charge coat combine compare compete concern confuse connect cooperate correlate cover
    credit deal decorate end endow equate equip fill form have identify interact link mix provide replace share start
    """
)
# words that order an event among others of the text
SEQUENCE = _words(
    """
    after afterwards ago earlier following later next previously same subsequent
    """
)
# where two of these stand, it is not safe to tell what lies where
DIRECTIONS = _words(
    """
    east north northeast northwest south southeast southwest west
    """
)
# words after which less is not entailed
NARROW = _words(
    """
    all any each every few hardly little most no none only rarely seldom
    """
)
# conjunctions of conditions and indirect questions
CONDITIONS = _words(
    """
    assuming if lest provided supposing unless whether
    """
)
# verbs whose clause is what somebody thinks or says
REPORTING = _words(
    """
    allege argue assert assume believe claim contend deduce dispute doubt estimate expect fear feel guess hold hope
    hypothesise hypothesize imagine insist maintain predict presume propose rumor rumour say speculate suggest suppose
    theorize think wish
    """
)
# of events: what a participle of these tells was done once, also in a sentence in the present
EVENTS = _words(
    """
    bear build bury coin compose construct create design develop direct discover elect erect establish found introduce
    invent kill launch paint present produce publish record release write
    """
)
# of states: the participle of these has the subject of the clause that it ends
STATES = _words(
    """
    belong border bound comprise consist constitute contain cover encompass extend feature have house include
    incorporate measure occupy possess range represent serve span surround total weigh
    """
)
# participles that are prepositions, or have a subject of their own
NO_PARTICIPLE = _words(
    """
    accord age base begin compare concern consider depend exclude follow give include involve late mean owe own regard
    start use
    """
)
# prepositions whose coordinated objects may each be said alone
DISTRIBUTIVE = _words(
    """
    across against alongside as at by during for from in into near of on over through throughout to towards under with
    """
)
# prepositions inside a noun phrase whose coordinated objects may each be said alone
STEPS = _words(
    """
    about across as by for from in including into like of on such through throughout to with
    """
)
# nouns for several things together: not said of one of them
GATHERING = _words(
    """
    alliance alloy amalgam amalgamation array balance blend coalition collaboration collection combination comparison
    composite compound conflict conjunction connection cross difference distinction equality fusion group hybrid
    interaction interplay link list merger mix mixture number pair partnership product range ratio relation relationship
    sequence series set sum synthesis total union variety war
    """
)
# adjectives that are of one thing together: "a black and white film"
COLOURS = _words(
    """
    black blue brown gold golden gray green grey orange pink purple red silver white yellow
    """
)
# quantities that say little once what tells which is taken away
VAGUE = _words(
    """
    certain different few many multiple numerous other several some various
    """
)
# verbs of naming: their bare past after a comma is a participle
NAMING = _words(
    """
    abbreviate call dub know name nickname refer spell term
    """
)
# verbs of a relative clause that may be about the whole event
EVENT_RELATIVES = _words(
    """
    allow become bring cause contribute enable end ensure force give help lay lead make mark mean prompt result turn
    """
)
# verbs that are said of several things together
COLLECTIVE = _words(
    """
    agree alternate associate bind blend border collaborate combine compare compose comprise connect consist constitute
    contrast differ distinguish divide equal fight form interact join link marry meet merge mix range relate separate
    share split total unite
    """
)
# verbs of taking something as something: what stands after "as" is what they say
TAKEN_AS = _words(
    """
    accept act characterise characterize cite classify consider define depict describe designate function hail identify
    know list name perceive portray present recognise recognize refer regard see serve take treat use view work
    """
)
# nouns for what stands in one place: "a town in Norway" is in Norway
PLACED = _words(
    """
    abbey airport archipelago area basin bay borough bridge building canal castle cathedral church city college commune
    community country county desert district family fort fortress genus hamlet harbour island lake megacity metropolis
    mosque mountain municipality museum nation palace park peninsula port prefecture province range region republic
    river school settlement site stadium state strait suburb temple territory town township tributary university valley
    village volcano
    """
)
# what a thing has that is "with" it
HAD = _words(
    """
    altitude area budget capacity circulation coastline density diameter elevation height length membership population
    radius shoreline speaker speed volume width
    """
)
# of these, what tells of their subject after a comma is as often told of the whole event
OUTCOMES = _words(
    """
    allow bring cause contribute create damage demonstrate destroy divide enable encourage end ensure equate establish
    exceed force give help improve increase indicate injure inspire kill lay lead leave limit make mark mean prevent
    prompt provide reach reduce reflect require result reveal show signal spark suggest trigger turn
    """
)
# with "the", of the place that a page is about, where nothing else says of which
OF_PLACE = _words(
    """
    capital city climate coastline currency economy elevation government language municipality population religion
    terrain town
    """
)
# adjectives that point to what was said: "the resulting embryo"
VAGUE_ADJECTIVES = _words(
    """
    above actual basic broader central chief complete corresponding current different early entire exact final first
    full general given important key last late main major minor modern new next old only original overall particular
    previous primary principal real recent relevant respective resulting second small specific third total usual whole
    wide
    """
)
# class nouns of works and bodies, which with "the" are the page's topic where nothing else of the kind was named
CLASSES = _words(
    """
    album ballet band book club comic company conflict corporation essay film firm franchise game institution magazine
    museum newspaper novel opera organisation organization painting pamphlet party play poem programme series show
    sitcom song story symphony team temple treatise treaty university war
    """
)
# what a term's own page calls it
TERMS = _words(
    """
    phrase term word
    """
)
