"""TA-Lib's functions, written by `tests/plugins/features/ta_metadata.py` from the library's own metadata.

A line each: name, inputs, parameters (kind, default, range), outputs, title. Lines that are indented go on.
"""

VERSION = "0.8.2"
TEXT = """\
AC | high, low | fastperiod integer 5 2 100000, slowperiod integer 34 2 100000, signalperiod integer 5 2 100000 | real
  | Accelerator/Decelerator Oscillator
ACCBANDS | high, low, close | timeperiod integer 20 2 100000 | upperband, middleband, lowerband | Acceleration Bands
ACOS | price=close |  | real | Vector Trigonometric ACos
AD | high, low, close, volume |  | real | Chaikin A/D Line
ADD | price0=high, price1=low |  | real | Vector Arithmetic Add
ADOSC | high, low, close, volume | fastperiod integer 3 2 100000, slowperiod integer 10 2 100000 | real | Chaikin A/D
  Oscillator
ADR | high, low | timeperiod integer 14 1 100000 | real | Average Day Range
ADX | high, low, close | timeperiod integer 14 2 100000 | real | Average Directional Movement Index
ADXR | high, low, close | timeperiod integer 14 2 100000 | real | Average Directional Movement Index Rating
AO | high, low | fastperiod integer 5 2 100000, slowperiod integer 34 2 100000 | real | Awesome Oscillator
APO | price=close | fastperiod integer 12 2 100000, slowperiod integer 26 2 100000, matype average 1 | real | Absolute
  Price Oscillator
AROON | high, low | timeperiod integer 14 2 100000 | aroondown, aroonup | Aroon
AROONOSC | high, low | timeperiod integer 14 2 100000 | real | Aroon Oscillator
ASIN | price=close |  | real | Vector Trigonometric ASin
ATAN | price=close |  | real | Vector Trigonometric ATan
ATR | high, low, close | timeperiod integer 14 1 100000 | real | Average True Range
AVGDEV | price=close | timeperiod integer 14 2 100000 | real | Average Deviation
AVGPRICE | open, high, low, close |  | real | Average Price
BBANDS | price=close | timeperiod integer 20 2 100000, nbdevup real 2 -3e+37 3e+37, nbdevdn real 2 -3e+37 3e+37,
  matype average 0 | upperband, middleband, lowerband | Bollinger Bands
BETA | price0=high, price1=low | timeperiod integer 5 1 100000 | real | Beta
BOP | open, high, low, close |  | real | Balance Of Power
CCI | high, low, close | timeperiod integer 14 2 100000 | real | Commodity Channel Index
CDL2CROWS | open, high, low, close |  | integer | Two Crows
CDL3BLACKCROWS | open, high, low, close |  | integer | Three Black Crows
CDL3INSIDE | open, high, low, close |  | integer | Three Inside Up/Down
CDL3LINESTRIKE | open, high, low, close |  | integer | Three-Line Strike
CDL3OUTSIDE | open, high, low, close |  | integer | Three Outside Up/Down
CDL3STARSINSOUTH | open, high, low, close |  | integer | Three Stars In The South
CDL3WHITESOLDIERS | open, high, low, close |  | integer | Three Advancing White Soldiers
CDLABANDONEDBABY | open, high, low, close | penetration real 0.3 0 3e+37 | integer | Abandoned Baby
CDLADVANCEBLOCK | open, high, low, close |  | integer | Advance Block
CDLBELTHOLD | open, high, low, close |  | integer | Belt-hold
CDLBREAKAWAY | open, high, low, close |  | integer | Breakaway
CDLCLOSINGMARUBOZU | open, high, low, close |  | integer | Closing Marubozu
CDLCONCEALBABYSWALL | open, high, low, close |  | integer | Concealing Baby Swallow
CDLCOUNTERATTACK | open, high, low, close |  | integer | Counterattack
CDLDARKCLOUDCOVER | open, high, low, close | penetration real 0.5 0 3e+37 | integer | Dark Cloud Cover
CDLDOJI | open, high, low, close |  | integer | Doji
CDLDOJISTAR | open, high, low, close |  | integer | Doji Star
CDLDRAGONFLYDOJI | open, high, low, close |  | integer | Dragonfly Doji
CDLENGULFING | open, high, low, close |  | integer | Engulfing Pattern
CDLEVENINGDOJISTAR | open, high, low, close | penetration real 0.3 0 3e+37 | integer | Evening Doji Star
CDLEVENINGSTAR | open, high, low, close | penetration real 0.3 0 3e+37 | integer | Evening Star
CDLGAPSIDESIDEWHITE | open, high, low, close |  | integer | Up/Down-gap side-by-side white lines
CDLGRAVESTONEDOJI | open, high, low, close |  | integer | Gravestone Doji
CDLHAMMER | open, high, low, close |  | integer | Hammer
CDLHANGINGMAN | open, high, low, close |  | integer | Hanging Man
CDLHARAMI | open, high, low, close |  | integer | Harami Pattern
CDLHARAMICROSS | open, high, low, close |  | integer | Harami Cross Pattern
CDLHIGHWAVE | open, high, low, close |  | integer | High-Wave Candle
CDLHIKKAKE | open, high, low, close |  | integer | Hikkake Pattern
CDLHIKKAKEMOD | open, high, low, close |  | integer | Modified Hikkake Pattern
CDLHOMINGPIGEON | open, high, low, close |  | integer | Homing Pigeon
CDLIDENTICAL3CROWS | open, high, low, close |  | integer | Identical Three Crows
CDLINNECK | open, high, low, close |  | integer | In-Neck Pattern
CDLINVERTEDHAMMER | open, high, low, close |  | integer | Inverted Hammer
CDLKICKING | open, high, low, close |  | integer | Kicking
CDLKICKINGBYLENGTH | open, high, low, close |  | integer | Kicking - bull/bear determined by the longer marubozu
CDLLADDERBOTTOM | open, high, low, close |  | integer | Ladder Bottom
CDLLONGLEGGEDDOJI | open, high, low, close |  | integer | Long Legged Doji
CDLLONGLINE | open, high, low, close |  | integer | Long Line Candle
CDLMARUBOZU | open, high, low, close |  | integer | Marubozu
CDLMATCHINGLOW | open, high, low, close |  | integer | Matching Low
CDLMATHOLD | open, high, low, close | penetration real 0.5 0 3e+37 | integer | Mat Hold
CDLMORNINGDOJISTAR | open, high, low, close | penetration real 0.3 0 3e+37 | integer | Morning Doji Star
CDLMORNINGSTAR | open, high, low, close | penetration real 0.3 0 3e+37 | integer | Morning Star
CDLONNECK | open, high, low, close |  | integer | On-Neck Pattern
CDLPIERCING | open, high, low, close |  | integer | Piercing Pattern
CDLRICKSHAWMAN | open, high, low, close |  | integer | Rickshaw Man
CDLRISEFALL3METHODS | open, high, low, close |  | integer | Rising/Falling Three Methods
CDLSEPARATINGLINES | open, high, low, close |  | integer | Separating Lines
CDLSHOOTINGSTAR | open, high, low, close |  | integer | Shooting Star
CDLSHORTLINE | open, high, low, close |  | integer | Short Line Candle
CDLSPINNINGTOP | open, high, low, close |  | integer | Spinning Top
CDLSTALLEDPATTERN | open, high, low, close |  | integer | Stalled Pattern
CDLSTICKSANDWICH | open, high, low, close |  | integer | Stick Sandwich
CDLTAKURI | open, high, low, close |  | integer | Takuri (Dragonfly Doji with very long lower shadow)
CDLTASUKIGAP | open, high, low, close |  | integer | Tasuki Gap
CDLTHRUSTING | open, high, low, close |  | integer | Thrusting Pattern
CDLTRISTAR | open, high, low, close |  | integer | Tristar Pattern
CDLUNIQUE3RIVER | open, high, low, close |  | integer | Unique 3 River
CDLUPSIDEGAP2CROWS | open, high, low, close |  | integer | Upside Gap Two Crows
CDLXSIDEGAP3METHODS | open, high, low, close |  | integer | Upside/Downside Gap Three Methods
CEIL | price=close |  | real | Vector Ceil
CMF | high, low, close, volume | timeperiod integer 20 2 100000 | real | Chaikin Money Flow
CMO | price=close | timeperiod integer 14 2 100000 | real | Chande Momentum Oscillator
CMOU | price=close | timeperiod integer 14 2 100000 | real | Chande Momentum Oscillator (Unsmoothed)
COPPOCK | price=close | wmaperiod integer 10 1 100000, roc1period integer 11 1 100000, roc2period integer 14 1 100000
  | real | Coppock Curve
CORREL | price0=high, price1=low | timeperiod integer 30 1 100000 | real | Pearson's Correlation Coefficient (r)
COS | price=close |  | real | Vector Trigonometric Cos
COSH | price=close |  | real | Vector Trigonometric Cosh
CUMSUM | price=close |  | real | Cumulative Sum
CVI | high, low | timeperiod integer 10 2 100000, rocperiod integer 10 1 100000 | real | Chaikin's Volatility
DEMA | price=close | timeperiod integer 30 1 100000 | real | Double Exponential Moving Average
DIV | price0=high, price1=low |  | real | Vector Arithmetic Div
DONCHIAN | high, low | timeperiod integer 20 2 100000 | upperband, middleband, lowerband | Donchian Channels
DPO | price=close | timeperiod integer 20 2 100000 | real | Detrended Price Oscillator
DX | high, low, close | timeperiod integer 14 2 100000 | real | Directional Movement Index
EFI | close, volume | timeperiod integer 13 1 100000 | real | Elder's Force Index
EMA | price=close | timeperiod integer 30 1 100000 | real | Exponential Moving Average
ER | price=close | timeperiod integer 10 2 100000 | real | Kaufman Efficiency Ratio
ERI | high, low, close | timeperiod integer 13 1 100000 | bullpower, bearpower | Elder Ray Index (Bull Power / Bear
  Power)
EXP | price=close |  | real | Vector Arithmetic Exp
FLOOR | price=close |  | real | Vector Floor
FOSC | price=close | timeperiod integer 5 2 100000 | real | Forecast Oscillator
FRACTAL | high, low | leftbars integer 2 1 100000, rightbars integer 2 1 100000 | swinghigh, swinglow | Williams
  Fractal
HA | open, high, low, close |  | haopen, hahigh, halow, haclose | Heikin-Ashi Candles
HMA | price=close | timeperiod integer 20 1 100000 | real | Hull Moving Average
HT_DCPERIOD | price=close |  | real | Hilbert Transform - Dominant Cycle Period
HT_DCPHASE | price=close |  | real | Hilbert Transform - Dominant Cycle Phase
HT_PHASOR | price=close |  | inphase, quadrature | Hilbert Transform - Phasor Components
HT_SINE | price=close |  | sine, leadsine | Hilbert Transform - SineWave
HT_TRENDLINE | price=close |  | real | Hilbert Transform - Instantaneous Trendline
HT_TRENDMODE | price=close |  | integer | Hilbert Transform - Trend vs Cycle Mode
IMI | open, close | timeperiod integer 14 2 100000 | real | Intraday Momentum Index
KAMA | price=close | timeperiod integer 30 1 100000 | real | Kaufman Adaptive Moving Average
KC | high, low, close | timeperiod integer 20 2 100000, atrperiod integer 10 1 100000, nbdev real 2 -3e+37 3e+37 |
  upperband, middleband, lowerband | Keltner Channels
KDJ | high, low, close | fastk_period integer 9 1 100000, slowk_period integer 3 1 100000, slowk_matype average 13,
  slowd_period integer 3 1 100000, slowd_matype average 13 | k, d, j | KDJ Stochastic
LINEARREG | price=close | timeperiod integer 14 2 100000 | real | Linear Regression
LINEARREG_ANGLE | price=close | timeperiod integer 14 2 100000 | real | Linear Regression Angle
LINEARREG_INTERCEPT | price=close | timeperiod integer 14 2 100000 | real | Linear Regression Intercept
LINEARREG_SLOPE | price=close | timeperiod integer 14 2 100000 | real | Linear Regression Slope
LN | price=close |  | real | Vector Log Natural
LOG10 | price=close |  | real | Vector Log10
MA | price=close | timeperiod integer 30 1 100000, matype average 0 | real | Moving average
MACD | price=close | fastperiod integer 12 2 100000, slowperiod integer 26 2 100000, signalperiod integer 9 1 100000 |
  macd, macdsignal, macdhist | Moving Average Convergence/Divergence
MACDEXT | price=close | fastperiod integer 12 2 100000, fastmatype average 0, slowperiod integer 26 2 100000,
  slowmatype average 0, signalperiod integer 9 1 100000, signalmatype average 0 | macd, macdsignal, macdhist | MACD
  with controllable MA type
MACDFIX | price=close | signalperiod integer 9 1 100000 | macd, macdsignal, macdhist | Moving Average
  Convergence/Divergence Fix 12/26
MAMA | price=close | fastlimit real 0.5 0.01 0.99, slowlimit real 0.05 0.01 0.99 | mama, fama | MESA Adaptive Moving
  Average
MARKETFI | high, low, volume |  | real | Market Facilitation Index
MASSI | high, low | fastperiod integer 9 2 100000, slowperiod integer 25 2 100000 | real | Mass Index
MAVP | price=close, periods=periods | minperiod integer 2 1 100000, maxperiod integer 30 1 100000, matype average 0 |
  real | Moving average with variable period
MAX | price=close | timeperiod integer 30 2 100000 | real | Highest value over a specified period
MAXINDEX | price=close | timeperiod integer 30 2 100000 | integer | Index of highest value over a specified period
MEDPRICE | high, low |  | real | Median Price
MFI | high, low, close, volume | timeperiod integer 14 2 100000 | real | Money Flow Index
MIDPOINT | price=close | timeperiod integer 14 2 100000 | real | MidPoint over period
MIDPRICE | high, low | timeperiod integer 14 2 100000 | real | Midpoint Price over period
MIN | price=close | timeperiod integer 30 2 100000 | real | Lowest value over a specified period
MININDEX | price=close | timeperiod integer 30 2 100000 | integer | Index of lowest value over a specified period
MINMAX | price=close | timeperiod integer 30 2 100000 | min, max | Lowest and highest values over a specified period
MINMAXINDEX | price=close | timeperiod integer 30 2 100000 | minidx, maxidx | Indexes of lowest and highest values
  over a specified period
MINUS_DI | high, low, close | timeperiod integer 14 1 100000 | real | Minus Directional Indicator
MINUS_DM | high, low | timeperiod integer 14 1 100000 | real | Minus Directional Movement
MOM | price=close | timeperiod integer 10 1 100000 | real | Momentum
MULT | price0=high, price1=low |  | real | Vector Arithmetic Mult
NATR | high, low, close | timeperiod integer 14 1 100000 | real | Normalized Average True Range
NVI | close, volume |  | real | Negative Volume Index
OBV | price=close, volume |  | real | On Balance Volume
PERCENTILE | price=close | timeperiod integer 30 2 100000, percentile real 50 0 100 | real | Percentile (nearest rank)
PERCENTRANK | price=close | timeperiod integer 100 2 100000 | real | Percent Rank
PLUS_DI | high, low, close | timeperiod integer 14 1 100000 | real | Plus Directional Indicator
PLUS_DM | high, low | timeperiod integer 14 1 100000 | real | Plus Directional Movement
PPO | price=close | fastperiod integer 12 2 100000, slowperiod integer 26 2 100000, matype average 1 | real |
  Percentage Price Oscillator
PVI | close, volume |  | real | Positive Volume Index
PVO | volume | fastperiod integer 12 2 100000, slowperiod integer 26 2 100000, matype average 1 | real | Percentage
  Volume Oscillator
PVT | close, volume |  | real | Price Volume Trend
QSTICK | open, close | timeperiod integer 10 1 100000 | real | Qstick
RMA | price=close | timeperiod integer 30 1 100000 | real | Wilder's Smoothed Moving Average
ROC | price=close | timeperiod integer 10 1 100000 | real | Rate of change : ((price/prevPrice)-1)*100
ROCP | price=close | timeperiod integer 10 1 100000 | real | Rate of change Percentage: (price-prevPrice)/prevPrice
ROCR | price=close | timeperiod integer 10 1 100000 | real | Rate of change ratio: (price/prevPrice)
ROCR100 | price=close | timeperiod integer 10 1 100000 | real | Rate of change ratio 100 scale: (price/prevPrice)*100
RSI | price=close | timeperiod integer 14 2 100000 | real | Relative Strength Index
RVI | price=close | timeperiod integer 14 1 100000, stddevperiod integer 10 2 100000 | real | Relative Volatility
  Index
RVOL | volume | timeperiod integer 20 1 100000 | real | Relative Volume
SAR | high, low | acceleration real 0.02 0 3e+37, maximum real 0.2 0 3e+37 | real | Parabolic SAR
SAREXT | high, low | startvalue real 0 -3e+37 3e+37, offsetonreverse real 0 0 3e+37, accelerationinitlong real 0.02 0
  3e+37, accelerationlong real 0.02 0 3e+37, accelerationmaxlong real 0.2 0 3e+37, accelerationinitshort real 0.02 0
  3e+37, accelerationshort real 0.02 0 3e+37, accelerationmaxshort real 0.2 0 3e+37 | real | Parabolic SAR - Extended
SIN | price=close |  | real | Vector Trigonometric Sin
SINH | price=close |  | real | Vector Trigonometric Sinh
SMA | price=close | timeperiod integer 30 1 100000 | real | Simple Moving Average
SMI | high, low, close | timeperiod integer 13 2 100000, fastperiod integer 2 2 100000, slowperiod integer 25 2
  100000, signalperiod integer 9 2 100000 | smi, smisignal | Stochastic Momentum Index
SQRT | price=close |  | real | Vector Square Root
STDDEV | price=close | timeperiod integer 5 2 100000, nbdev real 1 -3e+37 3e+37 | real | Standard Deviation
STOCH | high, low, close | fastk_period integer 5 1 100000, slowk_period integer 3 1 100000, slowk_matype average 0,
  slowd_period integer 3 1 100000, slowd_matype average 0 | slowk, slowd | Stochastic
STOCHF | high, low, close | fastk_period integer 5 1 100000, fastd_period integer 3 1 100000, fastd_matype average 0 |
  fastk, fastd | Stochastic Fast
STOCHRSI | price=close | timeperiod integer 14 2 100000, fastk_period integer 5 1 100000, fastd_period integer 3 1
  100000, fastd_matype average 0 | fastk, fastd | Stochastic Relative Strength Index
SUB | price0=high, price1=low |  | real | Vector Arithmetic Subtraction
SUM | price=close | timeperiod integer 30 2 100000 | real | Summation
SUPERTREND | high, low, close | timeperiod integer 10 2 100000, multiplier real 3 0 3e+37 | supertrend, trend |
  SuperTrend
T3 | price=close | timeperiod integer 5 1 100000, vfactor real 0.7 0 1 | real | Triple Exponential Moving Average (T3)
TAN | price=close |  | real | Vector Trigonometric Tan
TANH | price=close |  | real | Vector Trigonometric Tanh
TEMA | price=close | timeperiod integer 30 1 100000 | real | Triple Exponential Moving Average
TRANGE | high, low, close |  | real | True Range
TRIMA | price=close | timeperiod integer 30 1 100000 | real | Triangular Moving Average
TRIX | price=close | timeperiod integer 30 1 100000 | real | 1-day Rate-Of-Change (ROC) of a Triple Smooth EMA
TSF | price=close | timeperiod integer 14 2 100000 | real | Time Series Forecast
TSI | price=close | firstperiod integer 25 2 100000, secondperiod integer 13 2 100000 | real | True Strength Index
TYPPRICE | high, low, close |  | real | Typical Price
ULTOSC | high, low, close | timeperiod1 integer 7 1 100000, timeperiod2 integer 14 1 100000, timeperiod3 integer 28 1
  100000 | real | Ultimate Oscillator
VAR | price=close | timeperiod integer 5 1 100000, nbdev real 1 -3e+37 3e+37 | real | Variance
VHF | price=close | timeperiod integer 28 2 100000 | real | Vertical Horizontal Filter
VORTEX | high, low, close | timeperiod integer 14 1 100000 | plusvi, minusvi | Vortex Indicator
VWAP | high, low, close, volume |  | real | Volume Weighted Average Price
VWMA | price=close, volume | timeperiod integer 30 1 100000 | real | Volume Weighted Moving Average
WAD | high, low, close |  | real | Williams' Accumulation/Distribution
WCLPRICE | high, low, close |  | real | Weighted Close Price
WILLR | high, low, close | timeperiod integer 14 2 100000 | real | Williams' %R
WMA | price=close | timeperiod integer 30 1 100000 | real | Weighted Moving Average
ZLEMA | price=close | timeperiod integer 30 1 100000 | real | Zero-Lag Exponential Moving Average
"""
